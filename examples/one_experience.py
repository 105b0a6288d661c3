"""The whole idea from top to bottom, in one experience: python examples/one_experience.py

Digits 0 to 7 arrive. Each gets a fixed target, a network learns to land on the targets, the class
of an input is read off where its embedding lands, and the digits 8 and 9, which nobody has shown
it, are told from those it knows.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from lsc_continual import NoveltyDetector, make_system
from lsc_continual.network import TargetHead

torch.manual_seed(0)
torch.set_num_threads(1)

# Real digits of 8×8; a part to learn from, a part to calibrate on, a part to test on.
digits = load_digits()
order = torch.randperm(len(digits.target))
images = torch.tensor(digits.data, dtype=torch.float32)[order] / 16
labels = torch.tensor(digits.target)[order]
known = labels < 8
learned, held_out, tested = torch.arange(len(labels)).split([1000, 200, len(labels) - 1200])

# A vector system: 124,992 unit vectors in 64 dimensions, of which none is ever stored.
system = make_system("v21", dim=64)
print(f"{system.size:,} vectors, the nearest two at cosine {system.max_cosine:.3f}")

# The network ends in as many numbers as the system has dimensions, whatever the classes.
network = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, system.dim))
head = TargetHead(system)

# An experience: eight classes arrive, and each is given a fresh vector. Nothing grows.
head.add_classes(range(8))
print("target of class 0:", head.targets.vectors()[0].nonzero().flatten().tolist())

# Learning: −log of the probability that an embedding belongs to its class, out of all classes
# and, with a small prior, all vectors that nobody owns yet.
rows = learned[known[learned]]
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
for _ in range(30):
    for batch in rows[torch.randperm(len(rows))].split(32):
        loss = -head.log_prob(network(images[batch]), labels[batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# Predicting: the nearest vector of the whole system is read off the largest and the smallest
# coordinates; where nobody owns it, the nearest owned one is found from there.
with torch.no_grad():
    embeddings = network(images)
decoded = system.decode(embeddings).address
owned = head.targets.allocation.owner(decoded) >= 0
right = head.predict(embeddings) == labels
test_known, test_new = tested[known[tested]], tested[~known[tested]]
print(f"accuracy on the known digits: {right[test_known].double().mean():.1%}")
print(f"they land on an owned vector: {owned[test_known].double().mean():.1%}")

# Not knowing: at most 5 % of known inputs may be called unknown. Inputs that were not learned set
# the threshold; those that were are what it compares with.
held_out = held_out[known[held_out]]
detector = NoveltyDetector(head, fpr=0.05).calibrate(embeddings[held_out], embeddings[rows])
unknown = detector.predict(embeddings) == -1
print(f"known digits called unknown: {unknown[test_known].double().mean():.1%}")
print(f"new digits called unknown: {unknown[test_new].double().mean():.1%}")
