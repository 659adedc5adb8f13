"""A recurrent network that reads text character by character and continues it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tensorgraph.creation import tensor
from tensorgraph.errors import ArgumentError, OutOfRangeError, sig
from tensorgraph.generator import Generator, generator_for
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn.layers import GRU, LSTM, RNN, Dropout, Embedding, Linear
from tensorgraph.nn.module import Module

__all__ = ["CharRNN"]

_KINDS: dict[str, Callable[..., Module]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class CharRNN(Module):
    """Embedding, recurrent layers, and scores for the next character.

    tokens (N, T) of integers, state -> logits (N, T, characters) and the state behind the last character, which the
    next call takes to go on where this one ended; `detach(state)` cuts the graph between two pieces of a long text.
    `alphabet` is the characters that there are, or any text made of them: each distinct one is a token, in the order
    of their code points. `kind` is "lstm", "gru" or "rnn".

    >>> import tensorgraph as tg
    >>> from tensorgraph import nn
    >>> model = nn.models.CharRNN("hello world", hidden_size=16)
    >>> model.alphabet, model.encode("hold")
    (' dehlorw', [3, 5, 4, 1])
    >>> logits, state = model(tg.tensor([model.encode("hello")]))
    >>> logits.shape, len(model.sample("he", 10))
    ((1, 5, 8), 10)

    Source: Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015; Graves, Generating sequences
    with recurrent neural networks, arXiv:1308.0850.
    """

    def __init__(
        self,
        alphabet: str,
        embedding_dim: int = 64,
        hidden_size: int = 128,
        num_layers: int = 2,
        kind: str = "lstm",
        dropout: float = 0.0,
    ):
        super().__init__()
        if not isinstance(alphabet, str) or not alphabet:
            raise ArgumentError(f"CharRNN: alphabet is a text with all characters, got {alphabet!r}")
        self.alphabet = "".join(sorted(set(alphabet)))
        self._tokens = {character: i for i, character in enumerate(self.alphabet)}
        layer = _KINDS[check.choice("CharRNN", tuple(_KINDS), kind=kind)]
        self.embedding = Embedding(len(self.alphabet), embedding_dim)
        self.rnn = layer(
            embedding_dim, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        self.dropout = Dropout(dropout)
        self.linear = Linear(hidden_size, len(self.alphabet))

    def forward(self, tokens: Any, state: Any = None) -> tuple[Any, Any]:
        y, state = self.rnn(self.embedding(tokens), state)
        return self.linear(self.dropout(y)), state

    @staticmethod
    def detach(state: Any) -> Any:
        """The same state outside the graph, so that the next piece of text does not reach back into this one."""
        return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()

    def encode(self, text: str) -> list[int]:
        """The tokens of a text. Raises OutOfRangeError for a character that is not in the alphabet."""
        try:
            return [self._tokens[character] for character in text]
        except KeyError as error:
            raise OutOfRangeError(
                f"CharRNN: the character {error.args[0]!r} is not one of the {len(self.alphabet)} of the alphabet",
                hint="make the network with an alphabet that has it, or leave it out",
            ) from None

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""
        return "".join(self.alphabet[int(i)] for i in tokens)

    def sample(
        self, start: str, length: int = 200, temperature: float = 1.0, generator: Generator | None = None
    ) -> str:
        """`length` characters that continue `start` (not part of the result), each drawn from what the network expects.

        Probabilities are softmax(logits / temperature): below 1 the likely becomes likelier, at 0 the likeliest is
        taken. Runs in evaluation mode, draws from `generator` or the default stream of the CPU.

        Raises ArgumentError: nothing to start from, a negative temperature.
        """
        if not isinstance(start, str) or not start:
            raise ArgumentError(f"CharRNN.sample: start is a text of at least one character, got {_shown(start)}")
        check.integer("CharRNN.sample", 0, length=length)
        check.number("CharRNN.sample", 0, temperature=temperature)
        stream = generator_for(generator, "cpu", "sample").stream
        device, training = self.linear.weight.device, self.training
        tokens, found, state = self.encode(start), [], None
        self.eval()
        try:
            with no_grad():
                for _ in range(length):
                    logits, state = self(tensor([tokens], device=device), state)
                    scores = logits[0, -1].to(device="cpu").numpy().astype(np.float64)
                    tokens = [_draw(scores, temperature, stream)]
                    found += tokens
        finally:
            self.train(training)
        return self.decode(found)


def _draw(scores: np.ndarray, temperature: float, stream: Any) -> int:
    """A token, from its scores."""
    if temperature == 0:
        return int(scores.argmax())
    shares = np.exp((scores - scores.max()) / temperature).cumsum()
    place = stream.uniform((1,), np.dtype("float64"))[0] * shares[-1]
    return min(int(np.searchsorted(shares, place, side="right")), len(scores) - 1)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else sig(value)
