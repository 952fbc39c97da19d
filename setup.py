"""Builds the compiled kernels; everything else about the distribution stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

KERNELS = sorted(Path("kernels").glob("*.pyx"))
HEADERS = sorted(path.as_posix() for pattern in ("*.h", "*.pxd") for path in Path("kernels").glob(pattern))

# Portable on purpose: a wheel built here runs on any gateway of the same architecture; the loops over thousands of
# cells exist for several instruction sets and choose at run time (kernels/variants.h). -ffast-math is not among the
# flags because it would break NaN ("absent") and the compensated charge sums; without contraction into fused
# operations every instruction set gives the same bits.
UNIX_FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]


class BuildKernels(build_ext):
    """Stops the installation with one clear line when an extension cannot be built: there is no slow fallback. As many
    C compilers run at a time as there are processors."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            self._require_compiler(self.compiler.compiler_so[0])
            for extension in self.extensions:
                extension.extra_compile_args = UNIX_FLAGS
        for extension in self.extensions:
            self._translate(extension)
        self.parallel = self.parallel or True  # as many as there are processors
        super().build_extensions()

    def build_extension(self, extension: Extension) -> None:
        try:
            super().build_extension(extension)
        except (BaseError, CCompilerError) as error:
            raise SystemExit(_refusal(f"{extension.name}: {error}")) from None

    def _translate(self, extension: Extension) -> None:
        """Cython to C, one after another: the translator is not made for threads."""
        try:
            from Cython.Build import cythonize
            from Cython.Compiler.Errors import CompileError
        except ImportError:
            raise SystemExit(_refusal("Cython is missing (pip install 'cython>=3.1')")) from None
        try:
            extension.sources = cythonize([extension], force=self.force, quiet=True)[0].sources
        except CompileError as error:
            raise SystemExit(_refusal(f"{extension.name}: {error}")) from None

    def _require_compiler(self, command: str) -> None:
        if shutil.which(command) is None:
            raise SystemExit(_refusal(f"no C compiler found (looked for {command!r}; install gcc or set CC)"))


def _refusal(reason: str) -> str:
    return f"cellward: the compiled kernels could not be built: {reason}"


def _kernel(source: Path) -> Extension:
    loops_in_c = 'cdef extern from "' in source.read_text(encoding="utf-8")
    return Extension(f"kernels.{source.stem}", [source.as_posix()], depends=HEADERS if loops_in_c else [])


setup(
    ext_modules=[_kernel(source) for source in KERNELS],
    cmdclass={"build_ext": BuildKernels},
)
