"""The graph of an exported program as JSON, of which nothing is left that torch would evaluate or look up freely."""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sparseinst.errors import brief

_NAME = re.compile(r"(?!.*(^|\.)__\w*__(\.|$))[A-Za-z_][\w.]{0,499}", re.ASCII)
"""Names of nodes, parameters and devices: none of Python's own."""
_RANGE = re.compile(r"(\d{1,6}\*)?[su]\d{1,4}", re.ASCII)
_SYMBOL = re.compile(r"[su]\d{1,4}", re.ASCII)
_DEVICE = re.compile(r"cpu")
_STRING = re.compile(r"[ -~]{0,500}")
"""Arguments that are text, which Python's source has in quotes."""
_FORM = re.compile(
    r'\[1, (\{"type": ("builtins\.(tuple|list|dict)"|null), "context": ("null"|"\[\]"|null), "children_spec": '
    r"|[\[\], {}]){1,2000}\]"
)
"""How inputs and outputs nest: tuples, and no arguments by name."""

_ATEN = """
    __and__ __or__ __xor__ _assert_scalar _assert_tensor_metadata _native_batch_norm_legit_no_training _softmax
    _to_copy _unsafe_view abs adaptive_avg_pool1d adaptive_avg_pool2d add add_ addcmul addmm alias all amax amin any
    arange argmax argmin avg_pool2d baddbmm batch_norm bitwise_and bitwise_not bitwise_or bmm broadcast_tensors cat ceil
    celu chunk clamp clamp_ clamp_max clamp_min clone constant_pad_nd contiguous conv2d conv_transpose2d convolution cos
    cumsum detach detach_ div div_ dropout einsum elu embedding eq exp expand expand_as flatten flip floor
    floor_divide full full_like gather ge gelu glu grid_sampler group_norm gt hardsigmoid hardsigmoid_ hardswish
    hardswish_ hardtanh hardtanh_ index index_select instance_norm item layer_norm le leaky_relu leaky_relu_
    lift_fresh_copy linalg_norm linalg_vector_norm linear log log_softmax logical_and logical_not logical_or lt
    masked_fill masked_fill_ matmul max max_pool2d maximum mean meshgrid min minimum mish mm movedim mul mul_
    native_layer_norm ne neg new_full new_ones new_zeros norm numpy_T ones ones_like pad permute pixel_shuffle
    pixel_unshuffle pow prelu reciprocal relu relu6 relu6_ relu_ remainder repeat repeat_interleave reshape
    rms_norm roll round rsqrt rsub scalar_tensor scaled_dot_product_attention scatter select select_scatter selu
    sigmoid sigmoid_ sign silu silu_ sin slice slice_scatter softmax softplus sort split split_with_sizes sqrt square
    squeeze stack std std_mean sub sub_ sum swapaxes sym_size t tan tanh tanh_ tile to topk transpose tril triu trunc
    type_as unbind unflatten unfold unsqueeze unsqueeze_ upsample_bicubic2d upsample_bilinear2d upsample_nearest2d
    var var_mean view view_as where zeros zeros_like
"""
_TORCHVISION = ("deform_conv2d",)
OPERATORS = frozenset(
    {f"torch.ops.aten.{name}" for name in _ATEN.split()} | {f"torch.ops.torchvision.{name}" for name in _TORCHVISION}
)
"""All that a program may call: functions of tensors, which reach no file, and none that trusts its arguments."""
_NUMBERS_ONLY = """
    add sub mul floordiv truediv mod pow neg ge gt le lt eq ne getitem and_ or_
"""
_NUMBERS = frozenset(f"_operator.{name}" for name in _NUMBERS_ONLY.split())
_DATA = """
    as_tensor as_tensors as_optional_tensor as_optional_tensors as_int as_ints as_int_lists as_float as_floats as_bool
    as_bools as_none as_string as_strings as_name as_expr as_sym_int as_sym_ints as_sym_bool as_sym_bools as_sym_float
    as_sym_floats as_scalar_type as_device as_layout as_memory_format
"""
_ARGUMENTS = frozenset(_DATA.split())
"""Kinds of arguments that are data: no graph, no operator, no object."""
_OF_SIZES = """
    Integer Float Rational Add Mul Mod Max Min FloorDiv CeilDiv CleanDiv ModularIndexing PythonMod ToFloat IntTrueDiv
    FloatTrueDiv TruncToInt FloorToInt CeilToInt Eq Ne Equality Unequality StrictLessThan StrictGreaterThan LessThan
    GreaterThan
"""
_FUNCTIONS = frozenset(_OF_SIZES.split())
"""What an expression of sizes may call."""
_MOST_NUMBER = 2**63


class Refused(Exception):
    """Why a program is not opened: a sentence whose subject is the program."""


def checked_graph(program: Any) -> dict[str, Any]:
    """A program without what only its making needs, every text of it checked.

    Args:
        program: as torch wrote it; it is taken apart.

    Raises:
        Refused: it has another form, or texts that are neither names, known operators nor sizes.
    """
    try:
        module, ranges = program["graph_module"], program.pop("range_constraints")
        nodes, call = module["graph"]["nodes"], module["module_call_graph"][0]
        forms = {name: call["signature"].pop(name) for name in ("in_spec", "out_spec")}
        targets = [node.pop("target") for node in nodes]
        for node in nodes:
            node["metadata"] = {}
        module |= {"module_call_graph": [call], "metadata": {}, "treespec_namedtuple_fields": {}}
        program |= {"guards_code": [], "torch_version": ""}
        _check([program, list(ranges.values())])
        for text in ranges:
            _check_text(text, _RANGE)
        for text in forms.values():
            _check_text(text, _FORM)
        for text in targets:
            _check_operator(text)
        for node, target in zip(nodes, targets, strict=True):
            node["target"] = target
        call["signature"] |= forms
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"is damaged ({brief(error, most=200)})") from error
    return {**program, "range_constraints": ranges}


def checked_tensors(content: Any, *, prefix: str) -> dict[str, str]:
    """The file of each tensor of a program, by the tensor's name.

    Args:
        content: what the archive says of its tensors.
        prefix: how the names of their files begin.

    Raises:
        Refused: one is pickled, or is something else than a tensor.
    """
    files = {}
    try:
        for name, facts in content["config"].items():
            if facts["use_pickle"] is not False:
                raise Refused(f"has a pickled part, {brief(name, most=200)}")
            files[name] = _check_text(facts["path_name"], re.compile(prefix + r"\d{1,6}"))
        _check(content)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"is damaged ({brief(error, most=200)})") from error
    return files


def _check_operator(target: str) -> None:
    base, _, overload = target.rpartition(".")
    if not (target in _NUMBERS or (base in OPERATORS and re.fullmatch(r"\w{1,60}", overload, re.ASCII))):
        raise Refused(f"calls {brief(target, most=200)}, which is none of the operators that networks are made of")


def _check(value: Any) -> None:
    """Refuses all texts but names, and sizes where they belong; all arguments but data."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += _checked_entries(one)
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            _check_text(one, _NAME)
        elif isinstance(one, int) and abs(one) > _MOST_NUMBER:
            raise Refused("has a number beyond 64 bits")


def _checked_entries(entries: Mapping[str, Any]) -> Iterator[Any]:
    for key, value in entries.items():
        if key.startswith("as_") and key not in _ARGUMENTS:
            raise Refused(f"has an argument of the kind {brief(key, most=200)}, which is no data")
        if key == "expr_str":
            _check_size(value)
        elif key == "type" and isinstance(value, str):
            _check_text(value, _DEVICE)
        elif key == "as_string":
            _check_text(value, _STRING)
        elif value != "":
            _check_text(key, _NAME)
            yield value


def _check_text(text: Any, form: re.Pattern[str]) -> str:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise Refused(f"holds {brief(text, most=200)} where a name belongs")
    return text


def _check_size(text: str) -> None:
    """An expression of sizes is calls of known functions of numbers and symbols, one within the other."""
    try:
        tree = ast.parse(text, mode="eval").body if len(text) <= 10_000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not _is_size(tree):
        raise Refused(f"has the size {brief(text, most=200)}, which is none")


def _is_size(node: ast.expr | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=words):
            return bool(_SYMBOL.fullmatch(name)) and all(isinstance(word.value, ast.Constant) for word in words)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return name in _FUNCTIONS and all(_is_number(argument) or _is_size(argument) for argument in arguments)
    return False


def _is_number(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=int() | float() as number):
            return abs(number) < _MOST_NUMBER
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return abs(number) < _MOST_NUMBER
    return False
