"""Files that are whole or not there: folders with checksums, nested state without pickle."""
