# SPDX-License-Identifier: MIT
"""The built-in network in jax, with fewer operations than in Keras.

The results equal those of the Keras model of `build_lstm_autoencoder`, up to rounding.
The Keras model runs on other backends, and users can inspect it. There are two
differences. In scoring, one loop over the rows runs all layers of the encoder, and
another one all layers of the decoder, so that no sequences are stored between layers.
In training, the gradient of a layer is implemented by hand: its loop contains a single
matrix product, and the products for the weights and for the layer below are computed
for all rows at once.

Import this module after Keras: importing jax changes global random states, which
`import_keras` restores.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["LSTMProgram"]


class LSTMProgram:
    """Functions of one architecture. `forward` is compiled.

    Parameters
    ----------
    n_layers : int
        Number of LSTM layers of the encoder, and of the decoder.
    link : {'sequence', 'state', 'dense'}
        Input of the decoder: the outputs of the encoder in all rows, the last one
        first; its last output, in every row; or a dense layer of the last output.
    dropout : float
        Share of activations set to zero in training.
    """

    def __init__(self, n_layers, link, dropout):
        self._link = link
        self._dropout = dropout
        self._unpack = partial(_unpack, n_layers, link)
        # Not a method, which would keep the program and its compiled code alive.
        self.forward = jax.jit(partial(_forward, self._unpack, link))

    def loss(self, weights, seen, target, counted, seed, number):
        """Return the weighted sum of the mean squared residuals of windows.

        The caller compiles it.

        Parameters
        ----------
        weights : list of jax.Array
            Weights in the order of Keras.
        seen, target : jax.Array of shape (n_windows, window_size, n_channels)
            Inputs, and targets, NaN where unknown.
        counted : jax.Array of shape (n_windows,)
            Weight of each window's mean squared residual.
        seed, number : int
            Seed of the training, and number of these windows in it, for dropout.

        Returns
        -------
        loss : jax.Array
        """
        key = jax.random.fold_in(jax.random.key(seed), number)
        residuals = target - self._training_forward(weights, seen, key)
        residuals = jnp.where(jnp.isnan(target), 0, residuals)
        return (jnp.square(residuals).mean(axis=(1, 2)) * counted).sum()

    def _training_forward(self, weights, windows, key):
        """Reconstruct windows, layer by layer."""
        encoder, bottleneck, decoder, output = self._unpack(weights)

        def dropped(values, place):
            if not self._dropout:
                return values
            kept = jax.random.bernoulli(
                jax.random.fold_in(key, place), 1 - self._dropout, values.shape
            )
            return jnp.where(kept, values / (1 - self._dropout), 0)

        rows = windows.swapaxes(0, 1)  # (window_size, n_windows, n_channels)
        for depth, layer in enumerate(encoder):
            rows = _lstm(_dense(rows, layer[0], layer[2]), layer[1])
            if depth < len(encoder) - 1:
                rows = dropped(rows, depth)
        if self._link == "sequence":
            rows = dropped(rows, len(encoder) - 1)[::-1]
            first = _dense(rows, decoder[0][0], decoder[0][2])
        else:
            code = dropped(rows[-1], len(encoder) - 1)  # (n_windows, width)
            if bottleneck:
                code = code @ bottleneck[0] + bottleneck[1]
            first = code @ decoder[0][0] + decoder[0][2]
            first = jnp.broadcast_to(first, (windows.shape[1], *first.shape))
        rows = _lstm(first, decoder[0][1])
        for depth, layer in enumerate(decoder[1:], start=len(encoder)):
            rows = _lstm(_dense(dropped(rows, depth), layer[0], layer[2]), layer[1])
        if self._link == "sequence":
            rows = rows[::-1]
        return _dense(rows, *output).swapaxes(0, 1)


def _forward(unpack, link, weights, windows):
    """Reconstruct windows.

    Parameters
    ----------
    unpack : callable
        Maps the weights to the layers.
    link : str
        As in `LSTMProgram`.
    weights : list of jax.Array
        Weights in the order of Keras.
    windows : jax.Array of shape (n_windows, window_size, n_channels)
        Inputs.

    Returns
    -------
    reconstructed : jax.Array of the shape of `windows`
    """
    encoder, bottleneck, decoder, output = unpack(weights)
    n_windows, window_size, _ = windows.shape
    is_sequence = link == "sequence"

    def encode(states, row):
        states = list(states)
        for depth, layer in enumerate(encoder):
            states[depth] = _cell(row @ layer[0] + layer[2], layer[1], states[depth])
            row = states[depth][0]
        return states, row if is_sequence else None

    start = _start(encoder, n_windows)
    states, rows = lax.scan(encode, start, windows.swapaxes(0, 1))
    first = None
    if not is_sequence:  # every row of the decoder sees the same code
        code = states[-1][0]
        if bottleneck:
            code = code @ bottleneck[0] + bottleneck[1]
        first = code @ decoder[0][0] + decoder[0][2]

    def decode(states, row):
        states = list(states)
        seen = row @ decoder[0][0] + decoder[0][2] if is_sequence else first
        states[0] = _cell(seen, decoder[0][1], states[0])
        for depth, layer in enumerate(decoder[1:], start=1):
            below = states[depth - 1][0]
            states[depth] = _cell(below @ layer[0] + layer[2], layer[1], states[depth])
        return states, states[-1][0] @ output[0] + output[1]

    start = _start(decoder, n_windows)
    _, rows = lax.scan(decode, start, rows, length=window_size, reverse=is_sequence)
    return rows.swapaxes(0, 1)


def _unpack(n_layers, link, weights):
    """Return encoder, bottleneck, decoder and output layer from weights of Keras.

    The sigmoids of an LSTM are computed from a hyperbolic tangent, so that one call
    suffices for all four gates: sigmoid(z) = tanh(z / 2) / 2 + 1 / 2. The weights that
    z is computed from are halved here.
    """
    weights = iter(weights)

    def take(count):
        return [next(weights) for _ in range(count)]

    def layers():
        return [_halved(*take(3)) for _ in range(n_layers)]

    encoder = layers()
    bottleneck = take(2) if link == "dense" else None
    return encoder, bottleneck, layers(), take(2)


def _halved(kernel, recurrent, bias):
    # Input, forget and output gate are sigmoids. The candidate, the third one, is not.
    scale = jnp.repeat(jnp.array([0.5, 0.5, 1, 0.5], bias.dtype), len(recurrent))
    return kernel * scale, recurrent * scale, bias * scale


def _dense(rows, kernel, bias):
    """Apply a dense layer to all rows and windows in one matrix product."""
    flat = rows.reshape(-1, rows.shape[-1]) @ kernel + bias
    return flat.reshape(*rows.shape[:-1], -1)


def _start(layers, n_windows):
    """Return the hidden and cell states before the first row."""
    zeros = [
        jnp.zeros((n_windows, len(recurrent)), recurrent.dtype)
        for _, recurrent, _ in layers
    ]
    return [(zero, zero) for zero in zeros]


def _cell(z, recurrent, state):
    """Run an LSTM layer on one row."""
    hidden, cell = state
    i, f, g, o = _gates(z + hidden @ recurrent)
    cell = f * cell + i * g
    return o * jnp.tanh(cell), cell


def _gates(z):
    """Return input gate, forget gate, candidate, output gate, (n_windows, width)."""
    i, f, g, o = jnp.split(jnp.tanh(z), 4, axis=1)
    return i / 2 + 0.5, f / 2 + 0.5, g, o / 2 + 0.5


def _scan(z, recurrent):
    """Run an LSTM layer over all rows.

    Parameters
    ----------
    z : jax.Array of shape (window_size, n_windows, 4 * width)
        Contributions of the rows to the gates.
    recurrent : jax.Array of shape (width, 4 * width)
        Kernel of the hidden state.

    Returns
    -------
    hidden : jax.Array of shape (window_size, n_windows, width)
        Hidden states after each row.
    slopes : tuple of jax.Array, each of that shape
        Six derivatives: of the cell state with respect to the parts of `z` for input
        gate, forget gate and candidate; of the hidden state with respect to the part
        for the output gate, and to the cell state; of the cell state with respect to
        the previous one. With them, the backward pass computes no hyperbolic tangents.
    """
    zeros = jnp.zeros((z.shape[1], len(recurrent)), z.dtype)

    def step(state, z):
        hidden, before = state
        i, f, g, o = _gates(z + hidden @ recurrent)
        cell = f * before + i * g
        squashed = jnp.tanh(cell)
        hidden = o * squashed
        # The derivative of sigmoid(2 z) is 2 sigmoid(2 z) (1 - sigmoid(2 z)).
        slopes = (
            2 * i * (1 - i) * g,
            2 * f * (1 - f) * before,
            (1 - g**2) * i,
            2 * o * (1 - o) * squashed,
            (1 - squashed**2) * o,
            f,
        )
        return (hidden, cell), (hidden, slopes)

    return lax.scan(step, (zeros, zeros), z)[1]


@jax.custom_vjp
def _lstm(z, recurrent):
    """Return the hidden states of an LSTM layer; see `_scan`."""
    return _scan(z, recurrent)[0]


def _lstm_forward(z, recurrent):
    hidden, slopes = _scan(z, recurrent)
    return hidden, (recurrent, hidden, slopes)


def _lstm_backward(saved, wanted):
    """Return the gradients of `z` and `recurrent` from that of the hidden states."""
    recurrent, hidden, slopes = saved

    def step(state, row):
        d_hidden, d_cell = state
        wanted, (by_i, by_f, by_g, by_o, by_cell, by_before) = row
        d_hidden += wanted
        d_cell += d_hidden * by_cell
        parts = [d_cell * by_i, d_cell * by_f, d_cell * by_g, d_hidden * by_o]
        d_z = jnp.concatenate(parts, axis=1)
        return (d_z @ recurrent.T, d_cell * by_before), d_z

    zeros = jnp.zeros_like(hidden[0])
    _, d_z = lax.scan(step, (zeros, zeros), (wanted, slopes), reverse=True)
    # The hidden state before the first row is zero.
    before = hidden[:-1].reshape(-1, hidden.shape[-1])
    return d_z, before.T @ d_z[1:].reshape(-1, d_z.shape[-1])


_lstm.defvjp(_lstm_forward, _lstm_backward)
