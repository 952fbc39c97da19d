"""What the settings of all applications share; each application's own stand in its file."""

from typing import Annotated, ClassVar

from drivers.config.settings import Settings, about


class ApplicationSettings(Settings):
    """Settings of one application; a subclass makes `kind` a Literal and adds its own. Settings named `soc_frac_min`
    and `soc_frac_max` are held to the site's limits."""

    several: ClassVar[bool] = False
    """A site may have more than one of this kind."""

    kind: Annotated[str, about("", "which application this is")]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that it listens to."""
        return ()
