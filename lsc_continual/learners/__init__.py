"""How labelled batches change a network, and what a learner keeps to go on from."""
