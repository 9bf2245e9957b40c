"""What people write for a value and YAML reads as a string: Python's words, sums, tuples, units; and what was meant."""

import ast
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_N = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
"""A number as people write it."""

NUMBER = re.compile(_N)
DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
QUOTES = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"

LONGEST = 200
"""Characters of a text that is looked at; what people misspell is short."""

_WORDS = {
    "none": ("Python's None", "null"),
    "nil": ("null", "null"),
    "nan": ("not-a-number", ".nan"),
    "inf": ("infinity", ".inf"),
    "infinity": ("infinity", ".inf"),
}
_WORD = re.compile(
    r"([-+]?)(?:float\(['\"]|(?:np|numpy|math|torch|jnp)\.)?(None|nil|nan|NaN|NAN|inf|Inf|INF|[iI]nfinity)(?:['\"]\))?"
)
_CALL = re.compile(
    r"(?:(?:np|numpy|jnp|math|torch|random|scipy|tune|hp)(?:\.\w+)+|range|linspace|logspace|arange|geomspace|uniform"
    r"|loguniform|choice|randint|list|tuple|set|dict|int|float|bool|str|log|log2|log10|exp|sqrt|pow)\(|lambda\b"
)
_RANGE = re.compile(rf"({_N})\s*(?:\.\.\.?|\u2026|:|~|\bto\b|\buntil\b|<\s*\w+\s*<)\s*({_N})")
_DASHED = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*-\s*(\d+(?:\.\d*)?|\.\d+)")
_SEVERAL = re.compile(rf"{_N}(?:(?:\s*[;|]\s*|\s*,\s+|\s+or\s+|\s+and\s+|\s+){_N})+")
_COMMAS = re.compile(rf"{_N}(?:,{_N})+")
_NOTED = re.compile(rf"({_N}|[Tt]rue|[Ff]alse|null)\s*(?:#|//|--|<-|\().*")
_POWER_OF_TEN = re.compile(r"([-+]?\d+(?:\.\d*)?)\s*[x\u00d7\u00b7*]\s*10\s*(?:\^|\*\*|(?=[-+]))\s*([-+]?\d+)")
_SPACED = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)?)\s*[eE]\s*\^?\s*([-+]?)\s*(\d+)")
_SUM = re.compile(r"[-+*/^().\deE_\s]+")
_OPERATORS: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True, slots=True)
class Misreading:
    """What was probably meant, in words, and how it is written; None where nobody can know."""

    meant: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain (unquoted) scalar that YAML reads as a string.

    Attributes:
        text: As written, not empty.
        among_numbers: Whether it stands among numbers, or where a number is wanted.
        alone: Whether it is the only value.
    """

    text: str
    among_numbers: bool = False
    alone: bool = False


def misreading(scalar: Scalar) -> Misreading | None:
    """Return what a scalar was probably meant to be, if not a string."""
    if len(scalar.text) > LONGEST:
        return None
    return next((found for look in _LOOKS if (found := look(scalar)) is not None), None)


def in_pieces(texts: Sequence[str | None]) -> dict[range, Misreading]:
    """Return which items of a list in brackets were one text with a comma in it: ``(3, 3)`` is read as ``(3``, ``3)``.

    Args:
        texts: The items as written; None for one that is no plain scalar.
    """
    found: dict[range, Misreading] = {}
    start, depth = 0, 0
    for i, text in enumerate(texts):
        start = i if depth == 0 else start
        depth = 0 if text is None else max(0, depth + text.count("(") - text.count(")"))
        if depth == 0 and i > start and text is not None:
            whole = ", ".join(texts[j] or "" for j in range(start, i + 1))
            found[range(start, i + 1)] = Misreading(whole, as_list(whole))
        elif (
            text is not None
            and re.fullmatch(r"0\d\d", text)
            and i
            and re.fullmatch(r"[1-9]\d{0,2}", texts[i - 1] or "")
        ):
            found[range(i - 1, i + 1)] = Misreading(f"{texts[i - 1]},{text}", f"{texts[i - 1]}{text}")
    return found


def as_list(text: str) -> str | None:
    """Return a Python tuple of numbers or names as YAML's list; None for another text."""
    inner = re.fullmatch(r"\((.*)\)", text)
    items = [item.strip() for item in inner[1].rstrip(", ").split(",")] if inner else []
    return f"[{', '.join(items)}]" if items and all(re.fullmatch(r"[-+.\w]+", item) for item in items) else None


def _word(scalar: Scalar) -> Misreading | None:
    if scalar.among_numbers and scalar.text.lower() in {"none", "n/a", "na"} and scalar.text != "None":
        return Misreading("null", "null")
    match = _WORD.fullmatch(scalar.text)
    if match is None:
        return None
    meant, written = _WORDS[match[2].lower()]
    return Misreading(meant, match[1].strip("+") + written)


def _boolean(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    word = text.lower().rstrip(".")
    return Misreading(word, word) if word in {"true", "false"} else None


def _dots(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    return Misreading("the values between") if text in {"...", "..", "\u2026", "etc.", "etc"} else None


def _quoted(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    bare = text.strip(QUOTES + "'\"`")
    if text[0] in QUOTES + "`" or (text[-1] in QUOTES + "'\"`" and text.count(text[-1]) % 2):
        return Misreading("a text in quotes: these are not YAML's, and stay in it", f'"{bare}"')
    return None


def _ends_in_comma(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    bare = text.rstrip(",; ")
    return Misreading("the value without the mark at its end", bare) if bare and text[-1] in ",;" else None


def _other_characters(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    plain = unicodedata.normalize("NFKC", text).translate(DASHES)
    return Misreading("a number", _number(plain)) if plain != text and NUMBER.fullmatch(plain) else None


def _tuple(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    return Misreading("a tuple", fix) if "," in text and (fix := as_list(text)) else None


def _call(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    return Misreading("what Python makes of it: nothing is computed") if _CALL.match(text) else None


def _percent(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    match = re.fullmatch(rf"({_N})\s*%", text)
    return Misreading("a share", _shown(float(match[1]) / 100)) if match else None


def _range(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    match = _RANGE.fullmatch(text) or (_DASHED.fullmatch(text) if scalar.among_numbers or scalar.alone else None)
    if match is None or float(match[1]) >= float(match[2]):
        return None
    return Misreading("a range", f"{{min: {_number(match[1])}, max: {_number(match[2])}}}")


def _several(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", text):
        return Misreading("a number", text.replace(",", ""))
    if re.fullmatch(r"0,\d+", text):
        return Misreading("a number with a decimal point", text.replace(",", "."))
    if _SEVERAL.fullmatch(text) or (scalar.among_numbers and _COMMAS.fullmatch(text)):
        return Misreading("several numbers", ", ".join(_number(n) for n in re.findall(_N, text)))
    return None


def _noted(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    match = _NOTED.fullmatch(text)
    if match is None:
        return None
    value = _number(match[1]) if NUMBER.fullmatch(match[1]) else match[1].lower()
    return Misreading("a value with a remark: a comment begins with a space and #", value)


def _scientific(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    match = _POWER_OF_TEN.fullmatch(text)
    if match:
        return Misreading("a number", _number(f"{match[1]}e{match[2]}"))
    match = _SPACED.fullmatch(text)
    if match is None or not (match[1].strip("+-") or match[2]):
        return None
    return Misreading(
        "a number", _number(f"{match[1] if match[1].strip('+-') else match[1] + '1'}e{match[2]}{match[3]}")
    )


def _digits(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    if re.fullmatch(r"[-+]?0\d+", text):
        return Misreading("a number: one that begins with 0 is octal", str(int(text)))
    if re.fullmatch(r"[-+]?0[oO][0-7]+", text):
        return Misreading("an octal number", str(int(text, 8)))
    if re.fullmatch(r"[-+]?(?:\d+\.\d*|\.\d+)[fF]", text):
        return Misreading("a number", _number(text[:-1]))
    return None


def _sum(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    if not _SUM.fullmatch(text) or not set(text) & set("*/^") or not set(text) & set("0123456789"):
        return None
    value = _computed(text)
    is_ratio = re.fullmatch(r"[\d.]+\s*/\s*[\d.]+", text)
    if value is None or (is_ratio and value > 1 and not scalar.among_numbers):
        return None
    return Misreading("a number: nothing is computed", _shown(value))


def _looks_like_a_number(scalar: Scalar) -> Misreading | None:
    text = scalar.text
    return (
        Misreading("a number, among which it stands") if scalar.among_numbers and re.match(r"[-+.]*\d", text) else None
    )


_LOOKS = (
    _word,
    _boolean,
    _dots,
    _quoted,
    _ends_in_comma,
    _other_characters,
    _tuple,
    _call,
    _percent,
    _range,
    _several,
    _noted,
    _scientific,
    _digits,
    _sum,
    _looks_like_a_number,
)


def _number(text: str) -> str:
    """Return a number as YAML 1.1 reads it back."""
    return str(int(text)) if re.fullmatch(r"[-+]?\d+", text) else _shown(float(text))


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return f"{'-' if value < 0 else ''}.inf"
    if isinstance(value, int):
        return str(value)
    text = f"{value:.12g}"
    mantissa, e, exponent = text.partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def _computed(text: str) -> float | None:
    """Return what a sum of numbers comes to; None where that is no finite number."""
    try:
        value = _value(ast.parse(text.strip().replace("^", "**"), mode="eval").body)
        return value if math.isfinite(value) else None
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            a, b = _value(left), _value(right)
            if isinstance(op, ast.Pow) and abs(b) > 64:
                raise ValueError("too large")
            result = _OPERATORS[type(op)](a, b)
            if isinstance(result, complex) or abs(result) > 1e300:
                raise ValueError("too large")
            return result
    raise ValueError("not a sum")
