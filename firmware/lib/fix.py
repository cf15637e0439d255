"""A position, as every receiver gives it."""

from collections import namedtuple

# lat_e7, lon_e7: degrees x 10^7 (WGS 84). accuracy_m: radius in m that holds the true place in 95 % of cases.
# utc_s: seconds since 1970 of the position, None while the date is unknown. at_ms: ticks when it was heard.
Fix = namedtuple("Fix", ("lat_e7", "lon_e7", "accuracy_m", "utc_s", "at_ms"))
