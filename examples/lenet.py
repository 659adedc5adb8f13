"""A LeNet on scikit-learn's 1,797 handwritten digits: data, model, training, test, results, in one page.

    python3 -m examples.lenet        98 to 99 % of the held-out digits, within a minute

Run it in the folder above. The weights, the picture of the graph and the training curve are left in out/.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches, load_digits

EPOCHS, LR = 15, 0.05
tg.manual_seed(0)
x_train, y_train = load_digits(train=True)
x_test, y_test = load_digits(train=False)

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.25),
    nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
)  # fmt: skip
criterion = nn.CrossEntropyLoss()
optimizer = nn.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)

graph = criterion(model(x_train[:32]), y_train[:32]).graph()  # of one training step
losses = []
for epoch in range(EPOCHS):
    optimizer.param_groups[0]["lr"] = LR * (1 - epoch / EPOCHS)
    for x, y in batches(x_train, y_train, batch_size=32, shuffle=True):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1:2}: loss {losses[-1]:.4f}")

model.eval()
with tg.no_grad():
    predicted = model(tg.tensor(x_test)).argmax(axis=1)
print(f"held-out accuracy: {(predicted == tg.tensor(y_test)).mean():.1%}")

out = Path("out")
out.mkdir(exist_ok=True)
nn.save(model, out / "lenet.npz")
print("graph:", graph.save(out / "lenet.svg"))
plt.plot(losses)
plt.xlabel("step")
plt.ylabel("training loss")
plt.savefig(out / "lenet.png")
