"""The simulated cells against PyBaMM's, which others wrote; PyBaMM comes with `pip install 'cellward[validation]'`."""
