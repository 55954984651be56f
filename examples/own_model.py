# %% [markdown]
# # How robust is my network?
#
# Train a small network on scikit-learn's digits, attack it, evaluate it, and read a run of the workflow.
# The cells run in any editor that knows `# %%`; as a script: `python examples/own_model.py [RUN]`,
# in about a minute on one core, with the folder of a run if there is one to read.

# %%
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import absynth

# %% [markdown]
# ## A network of one's own
#
# Images are (n, channels, rows, columns) with pixels in [0, 1], here (n, 1, 8, 8); the network answers with logits.

# %%
digits = load_digits()
images = torch.from_numpy(digits.images).float()[:, None] / 16
labels = torch.from_numpy(digits.target)
train, test = slice(0, 1500), slice(1500, 1520)

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
    nn.Flatten(), nn.Linear(32 * 3 * 3, 10),
)  # fmt: skip
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(10):
    for rows in torch.randperm(1500).split(100):
        loss = nn.functional.cross_entropy(network(images[train][rows]), labels[train][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

x, y = images[test], labels[test]
accuracy = (network(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean().item()
print(f"accuracy on {len(images) - 1500} test images: {accuracy:.1%}")

# %% [markdown]
# ## One attack
#
# The best adversarial of each image over all that the attack asked: images, distances, and what they cost.

# %%
result = absynth.attack(network, x, y, "ddn", norm="l2", steps=50)
print(result)
print(result.frame().head())

# %% [markdown]
# Any class of Foolbox does as well, and a function of one's own; every image that it asks the network counts.

# %%
noise = absynth.attack(
    network, x, y, "foolbox.attacks.L2AdditiveGaussianNoiseAttack", norm="l2", doublings=3, bisections=3
)
print(noise)


def toward_mean(model, x, y, epsilon, norm, generator):
    """Fade into the mean image."""
    mean = images[train].mean(dim=0)
    for share in torch.linspace(0.05, 1, 20):
        faded = torch.lerp(x, mean, share.item())
        model(faded)
    return faded


print(absynth.attack(network, x, y, toward_mean, norm="l2"))

# %% [markdown]
# ## All attacks of a preset
#
# One row per image, with the smallest distance over all attacks in each norm and the attack that holds it.

# %%
table = absynth.evaluate(network, x, y, preset="quick", norms=["l2", "linf"], epsilons={"l2": 0.5})
print(table.head().to_string())
print(f"accuracy under perturbations of L2 norm 0.5: {table['l2_robust'].mean():.0%}")
print(table["l2_attack"].value_counts())

# %% [markdown]
# ## A run of the workflow
#
# It has adversarials of many attacks, lower bounds, tables and figures; and its models, ready to be asked again.

# %%
if len(sys.argv) > 1:
    run = absynth.open_run(sys.argv[1])
    print(run)
    model, norm = run.models[0], run.norms[0]
    print(run.table("robustness").query("attack == 'all'"))
    minima = run.minima(model, norm)
    print(minima.frame().head())
    again = run.load_model(model)(torch.from_numpy(minima.adversarial)).argmax(dim=1)
    print(f"as recorded: {(again.numpy() == minima.prediction).mean():.0%} of the predictions")
