"""What a recipe's `precision` means on this machine."""

from __future__ import annotations

import torch

from deepcanon.core.errors import BadInput

KNOWN = ("auto", "float32", "bfloat16")


def resolve(precision: str) -> str:
    """``"auto"`` -> ``"bfloat16"`` where the processor computes with it, else ``"float32"``.

    bfloat16 is autocast: weights and sums stay float32. Raises BadInput for any other word.
    """
    if precision not in KNOWN:
        raise BadInput(f"precision {precision!r} is unknown", hint=f"it is {', '.join(KNOWN)}")
    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16, and not an emulation that is slower than float32."""
    # Asked by name: torch has no public question for it, and an older one lacks some of these.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if any(ask() for name in names if (ask := getattr(torch.cpu, name, None)) is not None):
        return True
    # On x86 this says no more than AVX-512, which emulates; on ARM it says bf16 proper.
    arm = torch.backends.cpu.get_cpu_capability() not in ("AVX512", "AVX2", "DEFAULT")
    return arm and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
