"""Several strategies on the same streams of classes, over several seeds: `lsc-cl compare`."""
