"""PV inverters whose power can be limited, one file for each way of speaking."""
