"""The command line `lsc-cl`: one file a verb. Heavy imports wait until they are needed."""
