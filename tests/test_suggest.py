"""Presets ranked for a machine."""

from factory import presets, suggest
from factory.hardware import GIB, Accelerator, Machine

CATALOG = presets.load()


def machine(gpu_gib: int | None, *, bf16: bool = True) -> Machine:
    gpus = (
        ()
        if gpu_gib is None
        else (Accelerator("cuda", "Test GPU", gpu_gib * GIB, gpu_gib * GIB, bf16=bf16),)
    )
    return Machine(8, 32 * GIB, 30 * GIB, "Test CPU", cpu_bf16=True, accelerators=gpus)


def fitting(found: list[suggest.Suggestion]) -> list[str]:
    return [suggestion.preset for suggestion in found if suggestion.fits]


def test_the_largest_that_fits_comes_first() -> None:
    for gib, best in ((8, "gemma-3-4b"), (24, "gemma-3-27b"), (141, "aj-mixed-h200")):
        found = suggest.rank(CATALOG, machine(gib))
        assert best in fitting(found)
        needs = [s.needs_gb for s in found if s.fits and s.needs_gb is not None]
        assert needs == sorted(needs, reverse=True)
        assert all(need <= gib * 1.074 for need in needs)


def test_what_does_not_fit_comes_last_with_its_reason() -> None:
    found = suggest.rank(CATALOG, machine(8))
    assert found[-1].preset == "aj-mixed-h200"
    assert not found[-1].fits
    assert "DeepSeek-R1-Distill-Qwen-32B in 16 bit" in found[-1].why


def test_a_gpu_without_bf16_cannot_run_a_preset_that_asks_for_it() -> None:
    by_name = {s.preset: s for s in suggest.rank(CATALOG, machine(48, bf16=False))}
    assert not by_name["veran-tools"].fits
    assert "bf16" in by_name["veran-tools"].why


def test_without_a_gpu_the_base_is_in_16_bit() -> None:
    by_name = {s.preset: s for s in suggest.rank(CATALOG, machine(None))}
    assert by_name["oracle-rauru-mac"].fits
    assert "16 bit" in by_name["veran-tools-7b"].why
    assert not by_name["mtg-reason"].fits
