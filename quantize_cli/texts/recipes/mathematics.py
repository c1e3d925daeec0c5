"""Exercises with worked solutions, whose numbers are drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb, gcd

from quantize_cli.texts.model import Document
from quantize_cli.texts.recipes.draw import Draw

_DOCUMENTS = 22
_EXERCISES = 7

_PEOPLE = ("Amina", "Jorge", "Mei", "Oskar", "Priya", "Tariq", "Wanjiru", "Zofia")
_GOODS = ("notebooks", "lamps", "bags of rice", "bicycle tyres", "packets of seeds", "tins of paint")


def exercises() -> tuple[Document, ...]:
    """Make documents of exercises; every run makes the same ones."""
    return tuple(_document(i) for i in range(1, _DOCUMENTS + 1))


def _document(i: int) -> Document:
    draw = Draw(f"mathematics {i}")
    # the kinds of exercises follow each other, beginning at another one in each document
    chosen = [_KINDS[(i * _EXERCISES + j) % len(_KINDS)] for j in range(_EXERCISES)]
    parts = [f"Exercise {j}. {make(draw)}" for j, make in enumerate(chosen, 1)]
    return Document(f"mathematics/exercises {i}", "mathematics", "\n\n".join(parts))


def _linear(draw: Draw) -> str:
    a, x, b = draw.number(2, 12), draw.number(-9, 15), draw.number(1, 40)
    return (
        f"Solve {a}x + {b} = {a * x + b}.\n"
        f"Solution. Subtract {b} from both sides: {a}x = {a * x}. Divide by {a}: x = {x}. "
        f"Check: {a} · ({x}) + {b} = {a * x + b}."
    )


def _quadratic(draw: Draw) -> str:
    p, q = draw.number(-8, 9), draw.number(-8, 9)
    b, c = -(p + q), p * q
    roots = f"x = {p} and x = {q}" if p != q else f"x = {p} (twice)"
    return (
        f"Find the roots of x² {_signed(b, 'x')} {_signed(c)}.\n"
        f"Solution. The discriminant is ({b})² − 4 · ({c}) = {b * b - 4 * c}, whose square root is {abs(p - q)}. So "
        f"x = ({-b} ± {abs(p - q)})/2, which gives {roots}. Indeed, the sum of the roots is {p + q} and their product "
        f"is {c}."
    )


def _percentages(draw: Draw) -> str:
    who, what = draw.one(_PEOPLE), draw.one(_GOODS)
    count, price, cut = draw.number(3, 30), draw.number(2, 25) * 4, draw.number(1, 9) * 5
    full, off = count * price, Fraction(count * price * cut, 100)
    return (
        f"{who} buys {count} {what} at {price} each and gets a discount of {cut}%. How much is to be paid?\n"
        f"Solution. Without the discount, {count} × {price} = {full}. The discount is {full} × {cut}/100 = "
        f"{_decimal(off)}. So {full} − {_decimal(off)} = {_decimal(full - off)} is to be paid."
    )


def _euclid(draw: Draw) -> str:
    a, b = draw.number(200, 2000), draw.number(30, 400)
    steps, x, y = [], a, b
    while y:
        steps.append(f"{x} = {x // y} · {y} + {x % y}")
        x, y = y, x % y
    return (
        f"Find the greatest common divisor of {a} and {b}.\nSolution. By Euclid's algorithm:\n"
        + "\n".join(f"  {step}" for step in steps)
        + f"\nThe last remainder that is not zero is {x}, so gcd({a}, {b}) = {x} and lcm({a}, {b}) = {a * b // x}."
    )


def _derivative(draw: Draw) -> str:
    terms = [(draw.number(2, 9), n) for n in (4, 3, 2)]
    at = draw.number(1, 4)
    value = sum(a * n * at ** (n - 1) for a, n in terms)
    return (
        f"Differentiate f(x) = {' + '.join(f'{a}x^{n}' for a, n in terms)} and evaluate f'({at}).\n"
        f"Solution. Term by term, f'(x) = {' + '.join(f'{a * n}x^{n - 1}' for a, n in terms).replace('x^1', 'x')}. At "
        f"x = {at}: {' + '.join(str(a * n * at ** (n - 1)) for a, n in terms)} = {value}."
    )


def _multiplication(draw: Draw) -> str:
    a, b = draw.number(120, 999), draw.number(21, 98)
    tens, ones = b // 10 * 10, b % 10
    return (
        f"Compute {a} × {b} without a calculator.\n"
        f"Solution. {a} × {b} = {a} × {tens} + {a} × {ones} = {a * tens} + {a * ones} = {a * b}. "
        f"Check by casting out nines: {a} leaves {a % 9}, {b} leaves {b % 9}, and {a % 9} × {b % 9} = "
        f"{a % 9 * (b % 9)} leaves {a * b % 9}, as {a * b} does."
    )


def _urn(draw: Draw) -> str:
    red, blue = draw.number(3, 9), draw.number(3, 9)
    both = Fraction(comb(red, 2), comb(red + blue, 2))
    return (
        f"An urn contains {red} red and {blue} blue balls. Two are drawn without replacement. What is the probability "
        f"that both are red? That they differ in colour?\n"
        f"Solution. There are C({red + blue}, 2) = {comb(red + blue, 2)} pairs, of which C({red}, 2) = {comb(red, 2)} "
        f"are red: {both} ≈ {float(both):.3f}. Pairs of different colours: {red} · {blue} = {red * blue}, so "
        f"{Fraction(red * blue, comb(red + blue, 2))} ≈ {red * blue / comb(red + blue, 2):.3f}."
    )


def _series(draw: Draw) -> str:
    first, q, n = draw.number(2, 9), draw.number(2, 4), draw.number(4, 8)
    total = first * (q**n - 1) // (q - 1)
    return (
        f"Sum the first {n} terms of the geometric sequence {first}, {first * q}, {first * q * q}, ...\n"
        f"Solution. The ratio is {q}. The sum is {first} · ({q}^{n} − 1)/({q} − 1) = {first} · {q**n - 1}/{q - 1} = "
        f"{total}. Term by term: {' + '.join(str(first * q**k) for k in range(n))} = {total}."
    )


def _matrix(draw: Draw) -> str:
    a, b, c, d = (draw.number(-5, 7) for _ in range(4))
    determinant = a * d - b * c
    if determinant == 0:
        answer = "It is zero, so the matrix does not have an inverse; one row is a multiple of the other."
    else:
        entries = ", ".join(str(Fraction(x, determinant)) for x in (d, -b, -c, a))
        answer = f"It is not zero, so the inverse exists. Row by row, its entries are {entries}."
    return (
        f"Does the matrix [[{a}, {b}], [{c}, {d}]] have an inverse?\n"
        f"Solution. Its determinant is ({a})({d}) − ({b})({c}) = {determinant}. {answer}"
    )


def _power(draw: Draw) -> str:
    base, exponent, modulus = draw.number(2, 20), draw.number(20, 99), draw.one((7, 11, 13, 17, 19, 23, 29, 31))
    squares, value, power = [], base % modulus, 1
    while power <= exponent:
        squares.append(f"{base}^{power} ≡ {value}")
        value, power = value * value % modulus, power * 2
    binary = " + ".join(str(1 << k) for k in reversed(range(7)) if exponent >> k & 1)
    return (
        f"Find the remainder of {base}^{exponent} on division by {modulus}.\n"
        f"Solution. Square repeatedly modulo {modulus}: {', '.join(squares)}. Since {exponent} = {binary}, "
        f"multiply the corresponding powers. The remainder is {pow(base, exponent, modulus)}."
    )


def _speed(draw: Draw) -> str:
    one, two = draw.one(_PEOPLE[:4]), draw.one(_PEOPLE[4:])
    slow, gain, start = draw.number(4, 14), draw.number(2, 9), draw.number(1, 6)
    hours = Fraction(slow * start, gain)
    return (
        f"{one} sets out at {slow} km/h. {two} follows {start} h later at {slow + gain} km/h. When and where do they "
        f"meet?\nSolution. When {two} starts, {one} is {slow * start} km ahead. The distance shrinks by {gain} km each "
        f"hour, so it takes {slow * start}/{gain} = {hours} h. They meet {_decimal((slow + gain) * hours)} km from the "
        f"start."
    )


def _spread(draw: Draw) -> str:
    values = [draw.number(2, 40) for _ in range(draw.number(5, 8))]
    mean = Fraction(sum(values), len(values))
    variance = sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values)
    ordered = sorted(values)
    middle = Fraction(ordered[len(values) // 2] + ordered[(len(values) - 1) // 2], 2)
    return (
        f"Find mean, median and standard deviation of {', '.join(map(str, values))}.\n"
        f"Solution. The sum is {sum(values)}, so the mean is {sum(values)}/{len(values)} = {_decimal(mean)}. In order: "
        f"{', '.join(map(str, ordered))}; the median is {_decimal(middle)}. The mean of the squared deviations is "
        f"{_decimal(variance)}, whose square root is {float(variance) ** 0.5:.2f}."
    )


def _fractions(draw: Draw) -> str:
    a, b = Fraction(draw.number(1, 11), 12), Fraction(draw.number(1, 14), 15)
    below = a.denominator * b.denominator // gcd(a.denominator, b.denominator)
    return (
        f"Write {a} + {b} and {a} × {b} as fractions in lowest terms.\n"
        f"Solution. The common denominator is {below}: {a} = {a.numerator * below // a.denominator}/{below} and {b} = "
        f"{b.numerator * below // b.denominator}/{below}. The sum is {a + b}. The product is "
        f"{a.numerator * b.numerator}/{a.denominator * b.denominator}, which is {a * b}."
    )


_KINDS: tuple[Callable[[Draw], str], ...] = (
    _linear,
    _quadratic,
    _percentages,
    _euclid,
    _derivative,
    _multiplication,
    _urn,
    _series,
    _matrix,
    _power,
    _speed,
    _spread,
    _fractions,
)


def _signed(value: int, of: str = "") -> str:
    return f"{'+' if value >= 0 else '−'} {abs(value)}{of}"


def _decimal(value: Fraction) -> str:
    """Write a number with two decimals, unless it is whole."""
    return str(value) if value.denominator == 1 else f"{float(value):.2f}"
