"""What the random generator may write in an expression: one form for each way to call a function or operator of the
SQL surface, with the kinds of its arguments, and how DuckDB says the same.

A form is a line `name : argument kinds > kind [: text [: text for DuckDB]]`; one that begins with blanks goes on with
the line before. In a text `#0`, `#1` and so on stand for the arguments. Without a text it is a call by the entry's name
or one of its aliases; without a text for DuckDB it is that text. What the surface's own fields say (`types`, `syntax`,
`oracle`) is read from there: lines below are for entries whose fields do not say it all. An entry for which neither
holds, and that EXCLUDED does not name, is an error, so that a new one cannot pass unseen.

Kinds are types with what is known of their values:

    few, int, big     integers: between -100 and 100; far from the end of their type; any
    dbl, flt, approx  doubles: the same to the bit in every engine; any, with NaN and the infinite; rounded by chance
    dec, num          decimals of few digits, and of many
    word, code, text  texts: a letter and a digit; of ASCII; any
    day, date         dates about the year 2020; any
    moment, stamp     timestamps about the year 2020; any
    bool, span        truths; intervals, which are never shown
    ints, codes       lists of integers and of texts

Where K stands, the form has a line for each kind of value. `approx` is shown, or floored to a kind that can be
compared; nothing is decided by the last digits of a double that engines round in their own ways. A kind in quotes is
one of POOLS: constants, each as Parcours and as DuckDB write it.
"""

import collections
import itertools
import re

import surface

Form = collections.namedtuple("Form", "feature group arguments kind text duck")

# Which kinds may stand in place of another.
WITHIN = {
    "few": ["few"],
    "int": ["int", "few"],
    "big": ["big", "int", "few"],
    "dbl": ["dbl"],
    "flt": ["flt", "dbl"],
    "approx": ["approx", "dbl"],
    "dec": ["dec"],
    "num": ["num", "dec"],
    "word": ["word"],
    "code": ["code", "word"],
    "text": ["text", "code", "word"],
    "day": ["day"],
    "date": ["date", "day"],
    "moment": ["moment"],
    "stamp": ["stamp", "moment"],
    "bool": ["bool"],
    "span": ["span"],
    "ints": ["ints"],
    "codes": ["codes"],
}

# What K stands for.
VALUES = ["int", "big", "dbl", "flt", "dec", "num", "code", "text", "day", "date", "moment", "stamp", "bool"]

# The types of kinds, as casts write them.
TYPES = {
    "few": "INTEGER",
    "int": "BIGINT",
    "big": "BIGINT",
    "dbl": "DOUBLE",
    "flt": "DOUBLE",
    "approx": "DOUBLE",
    "dec": "DECIMAL(12, 2)",
    "num": "DECIMAL(38, 10)",
    "word": "VARCHAR",
    "code": "VARCHAR",
    "text": "VARCHAR",
    "day": "DATE",
    "date": "DATE",
    "moment": "TIMESTAMP",
    "stamp": "TIMESTAMP",
    "bool": "BOOLEAN",
    "ints": "BIGINT[]",
    "codes": "VARCHAR[]",
}

UNITS = ["year", "quarter", "month", "week", "day", "doy", "dow", "isodow"]

# Constants that an argument takes: a text, or one for each engine.
POOLS = {
    "digit": ["0", "1", "2", "3"],
    "count": ["1", "2", "3", "5"],
    "places": ["0", "1", "2", "-1"],
    "length": ["0", "1", "2", "4", "7"],
    "end": ["-2", "-1", "0", "1", "3"],
    "year": ["1999", "2020", "2024"],
    "divisor": ["2", "3", "7", "-5"],
    "share": ["0", "0.25", "0.5", "0.9", "1"],
    "letters": ["'a'", "'ab'", "'zA'", "'é'", "' '"],
    "part": ["'a'", "'b'", "'A1'", "'é'", "''", "' '", "'_'", "'0'"],
    "separator": ["'_'", "'a'", "'+'", "', '"],
    "like": ["'A%'", "'%a%'", "'_'", "''", "'%'", "'é%'", "'_2'", "'%b'", "'a_b'"],
    "escaped": ["'a!%%'", "'%!_%'", "'!!'"],
    "pattern": ["'^[a-z]+$'", "'[0-9]'", "'a|b'", "'^.'", "'é'", "'z z'", "'^$'"],
    "class": ["'[0-9]'", "'[a-z]'", "'[B-F]'", "'a'"],
    "flags": ["'i'"],
    "unit": [f"'{unit}'" for unit in UNITS],
    "turn": ["'year'", "'quarter'", "'month'", "'week'", "'day'"],
    "clock": ["'hour'", "'minute'", "'second'"],
    "field": [*(unit.upper() for unit in UNITS), "DECADE", "CENTURY"],
    "hand": ["HOUR", "MINUTE", "SECOND", "YEAR", "MONTH", "DAY"],
    "shift": ["year", "month", "week", "day"],
    "hands": [
        ("'YYYY-MM'", "'%Y-%m'"),
        ("'DD/MM/YYYY'", "'%d/%m/%Y'"),
        ("'YYYY'", "'%Y'"),
        ("'Mon DD'", "'%b %d'"),
        ("'DDD'", "'%j'"),
    ],
    "spark hands": [
        ("'yyyy-MM'", "'%Y-%m'"),
        ("'dd/MM/yyyy'", "'%d/%m/%Y'"),
        ("'yyyy'", "'%Y'"),
        ("'MMM dd'", "'%b %d'"),
    ],
    "time hands": [("'DD/MM/YYYY HH24:MI:SS'", "'%d/%m/%Y %H:%M:%S'"), ("'HH24:MI'", "'%H:%M'")],
    "percents": ["'%d/%m/%Y'", "'%Y-%m-%d'", "'%j'", "'%y%m'", "'%A %B'"],
    "days": ["INTERVAL '1 month'", "INTERVAL '10 days'", "INTERVAL '1 year 2 months'", "INTERVAL '2 weeks'"],
    "hours": ["INTERVAL '90 minutes'", "INTERVAL '6 hours'", "INTERVAL '1 day 1 second'"],
    "each": ["INTERVAL '1 day'", "INTERVAL '1 month'", "INTERVAL '2 hours'"],
    "width": ["INTERVAL '15 minutes'", "INTERVAL '7 days'", "INTERVAL '6 hours'"],
    "before": [("1", "[1:1]"), ("2", "[1:2]"), ("-1", "[-1:]"), ("-2", "[-2:]")],
    "order": ["'ASC', 'NULLS LAST'", "'DESC', 'NULLS FIRST'", "'ASC', 'NULLS FIRST'", "'DESC', 'NULLS LAST'"],
    "zone": ["'Europe/Paris'", "'America/New_York'", "'UTC'"],
}

# DuckDB takes a part of a moment that is written as NULL for a double, hence the casts of parts below.

# A decimal that is rounded has no places behind the point in DuckDB, and takes them from others beside it in CASE.

# DuckDB drops rows in WHERE whose place in a list is NULL, hence coalesce around places.

# A list with each element once, and in order, NULL first.
ONCE = (
    "list_sort(list_distinct({0}) || CASE WHEN len({0}) > list_count({0}) THEN [NULL] ELSE [] END,"
    " 'ASC', 'NULLS FIRST')"
)

SCALARS = r"""
abs : int > int
abs : dbl > dbl
abs : flt > flt
abs : dec > dec
ceil : int > dbl : : CAST(ceil(#0) AS DOUBLE)
ceil : dbl > dbl
ceil : dec > dec : : CAST(ceil(#0) AS DECIMAL(18, 2))
floor : int > dbl : : CAST(floor(#0) AS DOUBLE)
floor : dbl > dbl
floor : dec > dec : : CAST(floor(#0) AS DECIMAL(18, 2))
floor : approx > dbl : floor(#0 * 1000 + 0.317)
round : int > int
round : int, 'places' > int
round : dbl > dbl
round : dbl, 'places' > dbl
round : dec > dec : : CAST(round(#0) AS DECIMAL(18, 2))
round : dec, 'places' > dec : : CAST(round(#0, #1) AS DECIMAL(18, 2))
trunc : int > dbl : : CAST(trunc(#0) AS DOUBLE)
trunc : dbl > dbl
trunc : dec > dec : : CAST(trunc(#0) AS DECIMAL(18, 2))
trunc : dbl, 'digit' > dbl
sign : int > few : : CAST(sign(#0) AS INTEGER)
sign : dbl > dbl : : CAST(sign(#0) AS DOUBLE)
signum : dbl > dbl : : CAST(sign(#0) AS DOUBLE)
signum : int > dbl : : CAST(sign(#0) AS DOUBLE)
mod : int, 'divisor' > few
mod : int, few > int : mod(#0, nullif(#1, 0))
mod : dec, 'divisor' > dec
sqrt : dbl > approx : sqrt(abs(#0))
power : dbl, 'digit' > approx
power : few, 'digit' > approx
exp : few > approx : exp(#0 / 10.0) : exp(#0 / 10.0::DOUBLE)
exp : dbl > approx : exp(least(#0, 30)) : exp(least(#0, 30))
ln : dbl > approx : ln(abs(#0) + 1)
ln : few > approx : ln(abs(#0))
log : dbl > approx : log(abs(#0) + 1)
log : few > approx : log(3, abs(#0) + 1)
log10 : few > approx : log10(abs(#0))
log2 : few > approx : log2(abs(#0))
factorial : few > big : factorial(abs(#0) % 20) : CAST(factorial(CAST(abs(#0) % 20 AS INTEGER)) AS BIGINT)
gcd : int, int > int
lcm : few, few > int
pi : > approx
isnan : flt > bool
iszero : flt > bool : : (#0 = 0)
iszero : int > bool : : (#0 = 0)
nanvl : flt, dbl > flt : : CASE WHEN isnan(#0) THEN #1 ELSE #0 END
random : > bool : (random() < 1)
tan : few > approx
cot : few > approx : cot(abs(#0) + 1)
asin : dbl > approx : asin(cos(#0))
acos : dbl > approx : acos(sin(#0) / 2)
atan2 : dbl, dbl > approx
sinh : few > approx : sinh(#0 / 10.0) : sinh(#0 / 10.0::DOUBLE)
cosh : few > approx : cosh(#0 / 10.0) : cosh(#0 / 10.0::DOUBLE)
acosh : dbl > approx : acosh(abs(#0) + 1)
atanh : dbl > approx : atanh(sin(#0) / 2)
coalesce : K, K > K
coalesce : K, K, K > K
nullif : K, K > K
nvl : K, K > K : : coalesce(#0, #1)
nvl2 : bool, K, K > K : : CASE WHEN #0 IS NOT NULL THEN #1 ELSE #2 END
nvl2 : K, int, int > int : : CASE WHEN #0 IS NOT NULL THEN #1 ELSE #2 END
if : bool, K, K > K
greatest : K, K > K
greatest : K, K, K > K
least : K, K > K
least : K, K, K > K
character_length : text > few : : length(#0)
octet_length : text > few : : octet_length(encode(#0))
bit_length : text > int
lower : text > text
lower : code > code
upper : text > text
upper : code > code
initcap : code > code : initcap(lower(regexp_replace(#0, '[^A-Za-z]', '', 'g')))
  : upper(regexp_replace(#0, '[^A-Za-z]', '', 'g')[1:1]) || lower(regexp_replace(#0, '[^A-Za-z]', '', 'g')[2:])
concat : text, text > text
concat : code, int > code
concat : text, day, bool > text
concat_ws : 'separator', text, text > text
concat_ws : code, code, code > code
substr : text, 'count' > text
substr : text, 'count', 'length' > text
substr : code, 'count', 'length' > code
left : text, 'end' > text
left : code, few > code
right : text, 'end' > text
right : code, few > code
btrim : text > text : : trim(#0)
btrim : text, 'letters' > text : : trim(#0, #1)
ltrim : text > text
ltrim : text, 'letters' > text
rtrim : text > text
rtrim : text, 'letters' > text
lpad : text, 'length' > text : : lpad(#0, #1, ' ')
lpad : text, 'length', 'letters' > text
rpad : text, 'length' > text : : rpad(#0, #1, ' ')
rpad : code, 'length', 'letters' > text
repeat : text, 'digit' > text
repeat : code, few > code : repeat(#0, #1 % 5)
replace : text, 'letters', 'part' > text
replace : text, text, text > text : replace(#0, #1 || 'a', #2)
translate : text, 'letters', 'part' > text
overlay : code, code, 'count' > code : overlay(#0 PLACING #1 FROM #2 FOR 1)
  : left(#0, #2 - 1) || #1 || substr(#0, #2 + 1)
reverse : text > text
reverse : code > code
strpos : text, text > few
strpos : text, 'part' > few
starts_with : text, text > bool
starts_with : text, 'part' > bool
ends_with : text, text > bool
ends_with : text, 'part' > bool
contains : text, text > bool
contains : text, 'part' > bool
split_part : text, 'separator', 'count' > text
split_part : text, 'separator', 'end' > text : split_part(#0, #1, nullif(#2, 0))
substr_index : text, 'separator', 'before' > text : : array_to_string(string_split(#0, #1)#2, #1)
find_in_set : code, code > few : find_in_set(#0, concat(#1, ',A1,B2'))
  : CASE WHEN #0 IS NOT NULL THEN coalesce(list_position(string_split(concat(#1, ',A1,B2'), ','), #0), 0) END
levenshtein : code, code > few
ascii : text > int
chr : few > text : chr(70 + #0 % 30) : chr(CAST(70 + #0 % 30 AS INTEGER))
to_hex : int > code : to_hex(abs(#0)) : lower(to_hex(abs(#0)))
uuid : > bool : (length(uuid()) = 36) : (length(CAST(uuid() AS VARCHAR)) = 36)
regexp_like : text, 'pattern' > bool : : regexp_matches(#0, #1)
regexp_like : text, 'pattern', 'flags' > bool : : regexp_matches(#0, #1, #2)
regexp_replace : text, 'pattern', 'part' > text
regexp_replace : text, 'pattern', 'part' > text : regexp_replace(#0, #1, #2, 'g')
regexp_replace : code > code : regexp_replace(#0, '([A-C])([0-9])', '\2\1')
regexp_match : code > codes : regexp_match(#0, '([A-C])([0-9])')
  : CASE WHEN regexp_matches(#0, '[A-C][0-9]') THEN [regexp_extract(#0, '([A-C])([0-9])', 1), regexp_extract(#0,
  '([A-C])([0-9])', 2)] END
regexp_match : text, 'pattern' > codes : : CASE WHEN regexp_matches(#0, #1) THEN [regexp_extract(#0, #1)] END
regexp_count : text, 'pattern' > few : : CASE WHEN #0 IS NOT NULL THEN len(regexp_extract_all(#0, #1)) END
regexp_instr : text, 'class' > few :
  : CASE WHEN regexp_matches(#0, #1) THEN strpos(#0, regexp_extract(#0, #1)) WHEN #0 IS NOT NULL THEN 0 END
md5 : text > code
sha256 : text > code : encode(sha256(#0), 'hex') : sha256(#0)
encode : text > code : encode(#0, 'hex') : lower(hex(#0))
encode : text > code : encode(#0, 'base64') : rtrim(base64(encode(#0)), '=')
decode : text > text : CAST(decode(encode(#0, 'hex'), 'hex') AS VARCHAR) : #0
date_part : 'unit', day > few : date_part(#0, #1) % 90 : CAST(date_part(#0, #1) AS BIGINT) % 90
date_part : 'unit', stamp > int : : CAST(date_part(#0, #1) AS BIGINT)
date_part : 'clock', moment > few : : CAST(date_part(#0, #1) AS BIGINT)
date_trunc : 'turn', date > stamp
date_trunc : 'turn', day > moment
date_trunc : 'clock', moment > moment
date_bin : 'width', moment > moment : date_bin(#0, #1, TIMESTAMP '2020-01-01')
  : time_bucket(#0, #1, TIMESTAMP '2020-01-01')
date_diff : 'turn', day, day > int : : date_diff(#0, date_trunc(#0, #1), date_trunc(#0, #2))
date_diff : 'turn', moment, moment > int : : date_diff(#0, date_trunc(#0, #1), date_trunc(#0, #2))
date_diff : 'clock', moment, moment > big
date_add : day, 'days' > moment
date_add : moment, 'hours' > moment
date_add : 'shift', few, day > day : dateadd(#0, #1, #2)
  : CAST(date_add(#2, CASE '#0' WHEN 'year' THEN to_years(CAST(#1 AS INTEGER)) WHEN 'month' THEN to_months(CAST(#1
  AS INTEGER)) WHEN 'week' THEN to_days(7 * CAST(#1 AS INTEGER)) ELSE to_days(CAST(#1 AS INTEGER)) END) AS DATE)
add_months : day, few > day : : CAST(#0 + to_months(CAST(#1 AS INTEGER)) AS DATE)
last_day : day > day
last_day : moment > day
make_date : 'year', few, few > day : make_date(#0, 1 + abs(#1) % 12, 1 + abs(#2) % 28)
make_time : few, few > code : CAST(make_time(abs(#0) % 24, abs(#1) % 60, 7) AS VARCHAR)
  : CAST(make_time(abs(#0) % 24, abs(#1) % 60, 7.0) AS VARCHAR)
age : day, day > span
age : moment, moment > few : EXTRACT(MONTH FROM age(#0, #1)) : CAST(EXTRACT(MONTH FROM age(#0, #1)) AS BIGINT)
age : day, day > few : EXTRACT(YEAR FROM age(#0, #1)) : CAST(EXTRACT(YEAR FROM age(#0, #1)) AS BIGINT)
to_days : few > span : : to_days(CAST(#0 AS INTEGER))
to_weeks : few > span : : to_weeks(CAST(#0 AS INTEGER))
to_months : few > span : : to_months(CAST(#0 AS INTEGER))
to_quarters : few > span : : to_quarters(CAST(#0 AS INTEGER))
to_years : few > span : to_years(#0 % 7) : to_years(CAST(#0 % 7 AS INTEGER))
to_decades : moment, few > stamp : #0 + to_decades(#1 % 7) : #0 + to_decades(CAST(#1 % 7 AS INTEGER))
to_centuries : moment, few > stamp : #0 + to_centuries(#1 % 7) : #0 + to_centuries(CAST(#1 % 7 AS INTEGER))
to_millennia : moment, few > stamp : #0 + to_millennia(abs(#1) % 7) : #0 + to_millennia(CAST(abs(#1) % 7 AS INTEGER))
to_seconds : int > span
to_milliseconds : int > span
to_microseconds : int > span
to_hours : few > span
to_minutes : int > span : to_minutes(#0 % 5000)
to_char : day, 'hands' > code : : strftime(#0, #1)
date_format : day, 'spark hands' > code : : strftime(#0, #1)
date_format : moment, 'spark hands' > code : : strftime(#0, #1)
to_char : moment, 'time hands' > code : : strftime(#0, #1)
strftime : day, 'percents' > code
strftime : moment, 'percents' > code
strptime : day > moment : strptime(CAST(#0 AS VARCHAR), '%Y-%m-%d')
try_strptime : text > stamp : try_strptime(#0, '%Y-%m-%d')
try_strptime : day > moment : try_strptime(CAST(#0 AS VARCHAR), '%Y-%m-%d')
to_date : day > day : to_date(to_char(#0, 'DD/MM/YYYY'), 'DD/MM/YYYY') : #0
to_date : date > date : to_date(CAST(#0 AS VARCHAR)) : #0
to_timestamp : day > moment : to_timestamp(to_char(#0, 'DD/MM/YYYY'), 'DD/MM/YYYY') : CAST(#0 AS TIMESTAMP)
to_timestamp : int > stamp : : make_timestamp(CAST(#0 AS BIGINT) * 1000000)
to_timestamp_seconds : int > stamp : : make_timestamp(CAST(#0 AS BIGINT) * 1000000)
to_timestamp_millis : int > stamp : : make_timestamp(CAST(#0 AS BIGINT) * 1000)
to_timestamp_micros : int > stamp : : make_timestamp(CAST(#0 AS BIGINT))
from_unixtime : int > stamp : from_unixtime(#0 * 86400) : make_timestamp(CAST(#0 AS BIGINT) * 86400000000)
to_unixtime : moment > big : : CAST(floor(epoch(#0)) AS BIGINT)
to_unixtime : date > big : : CAST(epoch(#0) AS BIGINT)
now : moment > bool : (#0 < now()) : (#0 < CAST(now() AS TIMESTAMP))
current_date : day > bool : (#0 < current_date)
make_array : int, int > ints : : [#0, #1]
make_array : few, int, int > ints : : [#0, #1, #2]
make_array : code, code > codes : : [#0, #1]
range : 'digit', 'length' > ints
generate_series : 'digit', 'length' > ints
string_to_array : code, 'separator' > codes : string_to_array(#0 || '-', #1) : string_split(#0 || '-', #1)
array_to_string : codes, 'separator' > code :
  : CASE WHEN #0 IS NOT NULL THEN coalesce(array_to_string(#0, #1), '') END
array_to_string : ints, 'separator' > code : : CASE WHEN #0 IS NOT NULL THEN coalesce(array_to_string(#0, #1), '') END
array_length : ints > few
array_length : codes > few
cardinality : ints > few : : len(#0)
array_element : ints, 'digit' > int : : list_extract(#0, #1)
array_element : codes, few > code : : #0[CAST(coalesce(#1, 1000000) AS INTEGER)]
array_slice : ints, 'digit', 'count' > ints
array_has : ints, int > bool : : list_contains(#0, #1)
array_has : codes, code > bool : : list_contains(#0, #1)
array_has_all : ints, ints > bool : : CASE WHEN #0 IS NOT NULL THEN list_has_all(#0, #1) AND len(#1) = list_count(#1) END
array_has_any : ints, ints > bool
array_position : ints, int > few : : nullif(list_position(#0, #1), 0)
array_positions : ints, int > ints :
  : CASE WHEN #0 IS NOT NULL THEN list_filter(range(1, len(#0) + 1), lambda i: #0[i] IS NOT DISTINCT FROM #1) END
array_append : ints, int > ints
array_append : codes, code > codes
array_prepend : int, ints > ints
array_concat : ints, ints > ints : : CASE WHEN #0 IS NOT NULL OR #1 IS NOT NULL THEN array_concat(#0, #1) END
array_concat : codes, codes > codes : : CASE WHEN #0 IS NOT NULL OR #1 IS NOT NULL THEN array_concat(#0, #1) END
array_distinct : ints > ints : array_sort(array_distinct(#0)) : ONCE(#0)
array_distinct : codes > codes : array_sort(array_distinct(#0)) : ONCE(#0)
array_union : ints, ints > ints : array_sort(array_union(#0, #1))
  : CASE WHEN #0 IS NOT NULL AND #1 IS NOT NULL THEN ONCE(#0 || #1) END
array_intersect : ints, ints > ints : array_sort(array_intersect(#0, #1))
  : CASE WHEN #0 IS NOT NULL AND #1 IS NOT NULL THEN ONCE(list_filter(#0, lambda e: len(list_filter(#1, lambda o: o
  IS NOT DISTINCT FROM e)) > 0)) END
array_except : ints, ints > ints : array_sort(array_except(#0, #1))
  : CASE WHEN #0 IS NOT NULL AND #1 IS NOT NULL THEN ONCE(list_filter(#0, lambda e: len(list_filter(#1, lambda o: o
  IS NOT DISTINCT FROM e)) = 0)) END
array_remove_all : ints, 'digit' > ints : : list_filter(#0, lambda e: e IS DISTINCT FROM #1)
array_replace_all : ints, 'digit', few > ints : : list_transform(#0, lambda e: CASE WHEN e = #1 THEN #2 ELSE e END)
array_sort : ints > ints : : list_sort(#0, 'ASC', 'NULLS FIRST')
array_sort : ints, 'order' > ints : : list_sort(#0, #1)
array_reverse : ints > ints
array_reverse : codes > codes
array_min : ints > int : : list_min(#0)
array_max : ints > int : : list_max(#0)
array_sum : ints > dbl : : CAST(list_sum(#0) AS DOUBLE)
array_avg : ints > approx : : list_avg(#0)
array_product : ints > approx : : list_product(#0)
array_any_value : ints > int : : list_any_value(#0)
array_any_value : codes > code : : list_any_value(#0)
array_compact : ints > ints : : list_filter(#0, lambda e: e IS NOT NULL)
array_pop_back : ints > ints : : #0[:len(#0) - 1]
array_pop_front : ints > ints : : #0[2:]
array_ndims : ints > few : array_ndims([#0]) : CASE WHEN #0 IS NULL OR #0 IS NOT NULL THEN 2 END
flatten : ints, ints > ints : flatten([#0, #1])
empty : ints > bool : : (len(#0) = 0)
named_struct : K, text > K : named_struct('a', #0, 'b', #1)['a'] : {'a': #0, 'b': #1}['a']
struct : text, K > K : struct(#0, #1)['c1'] : {'a': #0, 'b': #1}['b']
get_field : K, text > K : get_field(named_struct('a', #0, 'b', #1), 'a') : {'a': #0, 'b': #1}['a']
map : int, int > int : map(['a', 'b'], [#0, #1])['b'] : #1
map_keys : int, code > codes : map_keys(map([coalesce(#1, 'a')], [#0])) : [coalesce(#1, 'a')]
map_values : int, int > ints : map_values(map(['a', 'b'], [#0, #1])) : [#0, #1]
arrow_typeof : day > bool : (arrow_typeof(#0) = 'Date32') : (#0 IS NULL OR #0 IS NOT NULL)
arrow_typeof : dbl > bool : (arrow_typeof(#0) = 'Float64') : (#0 IS NULL OR #0 IS NOT NULL)
strip_accents : text > text
"""

OPERATORS = r"""
+, -, * : int, int > int : (#0 + #1)
+, -, * : int, int > int : (#0 - #1)
+, -, * : few, few > int : (#0 * #1)
+, -, * : int > int : (- #0)
+, -, * : dbl, dbl > dbl : (#0 + #1)
+, -, * : dbl, dbl > dbl : (#0 - #1)
+, -, * : dbl, few > dbl : (#0 * #1)
+, -, * : dbl > dbl : (- #0)
+, -, * : dec, dec > dec : (#0 + #1)
+, -, * : dec, few > dec : (#0 - #1)
+, -, * : approx, approx > approx : (#0 + #1)
+, -, * : approx, few > approx : (#0 * #1)
/ : int, 'divisor' > int : (#0 / #1)
/ : int, few > int : (#0 / nullif(#1, 0))
/ : big, 'divisor' > big : (#0 / #1)
/ : dbl, few > approx : (#0 / nullif(#1, 0))
/ : dbl, dbl > approx : (#0 / #1)
  : CASE WHEN #1 <> 0 THEN #0 / #1 WHEN #1 = 0 THEN #0 * CAST('Infinity' AS DOUBLE) END
/ : few > dbl : (#0 / 2.0) : (#0 / CAST(2 AS DOUBLE))
% : int, 'divisor' > few : (#0 % #1)
% : int, few > few : (#0 % nullif(#1, 0))
% : big, 'divisor' > few : (#0 % #1)
&, | : int, int > int : (#0 & #1)
&, | : int, int > int : (#0 | #1)
&, | : big, big > big : (#0 & #1)
<<, >> : few, 'digit' > int : (abs(#0) << #1)
<<, >> : int, 'digit' > int : (abs(#0) >> #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 = #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 <> #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 < #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 <= #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 > #1)
=, <>, <, <=, >, >= : K, K > bool : (#0 >= #1)
=, <>, <, <=, >, >= : big, dbl > bool : (#0 < #1) : (CAST(#0 AS DOUBLE) < #1)
=, <>, <, <=, >, >= : int, dec > bool : (#0 > #1)
=, <>, <, <=, >, >= : day, moment > bool : (#0 <= #1)
IS NULL : K > bool : (#0 IS NULL)
IS NULL : K > bool : (#0 IS NOT NULL)
IS NULL : approx > bool : (#0 IS NULL)
IS NULL : ints > bool : (#0 IS NOT NULL)
IS DISTINCT FROM : K, K > bool : (#0 IS DISTINCT FROM #1)
IS DISTINCT FROM : K, K > bool : (#0 IS NOT DISTINCT FROM #1)
IS TRUE : bool > bool : (#0 IS TRUE)
IS TRUE : bool > bool : (#0 IS NOT TRUE)
IS TRUE : bool > bool : (#0 IS FALSE)
IS TRUE : bool > bool : (#0 IS NOT FALSE)
IS TRUE : bool > bool : (#0 IS UNKNOWN) : (#0 IS NULL)
IS TRUE : bool > bool : (#0 IS NOT UNKNOWN) : (#0 IS NOT NULL)
BETWEEN : K, K, K > bool : (#0 BETWEEN #1 AND #2)
BETWEEN : K, K, K > bool : (#0 NOT BETWEEN #1 AND #2)
IN : K, K, K > bool : (#0 IN (#1, #2))
IN : K, K, K > bool : (#0 NOT IN (#1, #2, NULL))
IN : K, K, K > bool : (#0 NOT IN (#1, #2))
rows : K, int, K, int > bool : ((#0, #1) = (#2, #3)) : (#0 = #2 AND #1 = #3)
AND, OR, NOT : bool, bool > bool : (#0 AND #1)
AND, OR, NOT : bool, bool > bool : (#0 OR #1)
AND, OR, NOT : bool > bool : (NOT #0)
CASE : bool, K, K > K : CASE WHEN #0 THEN #1 ELSE #2 END
CASE : bool, K > K : CASE WHEN #0 THEN #1 END
CASE : bool, K, bool, K, K > K : CASE WHEN #0 THEN #1 WHEN #2 THEN #3 ELSE #4 END
CASE : few, int, code > code : CASE #0 WHEN #1 THEN #2 WHEN 0 THEN NULL ELSE 'other' END
|| : text, text > text : (#0 || #1)
|| : code, int > code : (#0 || #1)
|| : ints, ints > ints : (#0 || #1) : CASE WHEN #0 IS NOT NULL OR #1 IS NOT NULL THEN array_concat(#0, #1) END
LIKE, ILIKE : text, 'like' > bool : (#0 LIKE #1)
LIKE, ILIKE : text, 'like' > bool : (#0 NOT LIKE #1)
LIKE, ILIKE : text, 'like' > bool : (#0 ILIKE #1)
LIKE, ILIKE : text, 'like' > bool : (#0 NOT ILIKE #1)
LIKE, ILIKE : text, 'escaped' > bool : (#0 LIKE #1 ESCAPE '!')
LIKE, ILIKE : code, code > bool : (#0 LIKE #1 || '%')
LIKE, ILIKE : text, 'like', 'like' > bool : (#0 LIKE ANY (#1, #2)) : (#0 LIKE #1 OR #0 LIKE #2)
LIKE, ILIKE : text, 'like', 'like' > bool : (#0 LIKE ANY (ARRAY[#1, #2])) : (#0 LIKE #1 OR #0 LIKE #2)
~ : text, 'pattern' > bool : (#0 ~ #1) : regexp_matches(#0, #1)
~ : text, 'pattern' > bool : (#0 !~ #1) : (NOT regexp_matches(#0, #1))
~ : text, 'pattern' > bool : (#0 ~* #1) : regexp_matches(#0, #1, 'i')
~ : text, 'pattern' > bool : (#0 !~* #1) : (NOT regexp_matches(#0, #1, 'i'))
SUBSTRING : text, 'count' > text : SUBSTRING(#0 FROM #1)
SUBSTRING : text, 'count', 'length' > text : SUBSTRING(#0 FROM #1 FOR #2)
POSITION : 'part', text > few : POSITION(#0 IN #1)
OVERLAY : code, code, 'count' > code : OVERLAY(#0 PLACING #1 FROM #2 FOR 1)
  : left(#0, #2 - 1) || #1 || substr(#0, #2 + 1)
TRIM : text > text : TRIM(#0)
TRIM : text, 'letters' > text : TRIM(LEADING #1 FROM #0) : ltrim(#0, #1)
TRIM : text, 'letters' > text : TRIM(TRAILING #1 FROM #0) : rtrim(#0, #1)
TRIM : text, 'letters' > text : TRIM(BOTH #1 FROM #0) : trim(#0, #1)
CAST : int > code : CAST(#0 AS VARCHAR)
CAST : int > dbl : CAST(#0 AS DOUBLE)
CAST : int > dec : CAST(#0 AS DECIMAL(12, 2))
CAST : int > int : CAST(#0 AS BIGINT)
CAST : big > num : CAST(#0 AS DECIMAL(38, 10))
CAST : big > text : CAST(#0 AS VARCHAR)
CAST : dbl > int : CAST(#0 AS INTEGER)
CAST : dbl > code : CAST(#0 AS VARCHAR)
CAST : dec > int : CAST(#0 AS INTEGER)
CAST : dec > approx : CAST(#0 AS DOUBLE)
CAST : bool > few : CAST(#0 AS INTEGER)
CAST : int > bool : CAST(#0 AS BOOLEAN)
CAST : date > text : CAST(#0 AS VARCHAR)
CAST : day > moment : CAST(#0 AS TIMESTAMP)
CAST : stamp > date : CAST(#0 AS DATE)
CAST : moment > day : CAST(#0 AS DATE)
CAST : moment > code : CAST(#0 AS VARCHAR)
CAST : day > day : CAST(CAST(#0 AS VARCHAR) AS DATE)
CAST : bool > code : CAST(#0 AS VARCHAR)
CAST : int > code : #0::VARCHAR
CAST : few > dbl : #0::DOUBLE
TRY_CAST : text > int : TRY_CAST(#0 AS INTEGER)
  : CASE WHEN regexp_matches(#0, '^ *[-+]?[0-9]+ *$') THEN TRY_CAST(#0 AS INTEGER) END
TRY_CAST : big > int : TRY_CAST(#0 AS INTEGER)
TRY_CAST : text > day : TRY_CAST(#0 AS DATE) : CASE WHEN NOT contains(#0, '/') THEN TRY_CAST(#0 AS DATE) END
TRY_CAST : code > flt : TRY_CAST(#0 AS DOUBLE)
TRY_CAST : text > bool : (TRY_CAST(#0 AS DATE) IS NULL)
  : (CASE WHEN NOT contains(#0, '/') THEN TRY_CAST(#0 AS DATE) END IS NULL)
literals : few > dbl : (#0 * 1.5) : (#0 * 1.5::DOUBLE)
literals : text > bool : (#0 = 'it''s')
literals : day > bool : (#0 > DATE '2020-02-29')
literals : moment > bool : (#0 > TIMESTAMP '2021-06-15 12:00:00')
literals : bool > bool : (#0 = TRUE)
DATE ± days : day, few > day : (#0 + #1) : (#0 + CAST(#1 AS INTEGER))
DATE ± days : day, few > day : (#0 - #1) : (#0 - CAST(#1 AS INTEGER))
DATE ± days : day, day > int : (#0 - #1)
DATE ± days : date, date > big : (#0 - #1)
± INTERVAL : day, 'days' > day : (#0 + #1) : CAST(#0 + #1 AS DATE)
± INTERVAL : day, 'days' > day : (#0 - #1) : CAST(#0 - #1 AS DATE)
± INTERVAL : day, 'hours' > moment : (#0 + #1)
± INTERVAL : moment, 'hours' > moment : (#0 - #1)
± INTERVAL : moment, 'days' > moment : (#0 + #1)
± INTERVAL : moment, span > moment : (#0 + #1)
± INTERVAL : moment, span > moment : (#0 - #1)
n * INTERVAL : few, 'each' > span : (#0 * #1) : (CAST(#0 AS INTEGER) * #1)
n * INTERVAL : day, few > moment : (#0 + #1 * INTERVAL '36 hours') : (#0 + CAST(#1 AS INTEGER) * INTERVAL '36 hours')
timestamp − timestamp : moment, moment > bool : (#0 - #1 > INTERVAL '400 days')
timestamp − timestamp : moment, moment > bool : (#0 - #1 <= INTERVAL '-3 hours')
EXTRACT : 'field', date > int : EXTRACT(#0 FROM #1) : CAST(EXTRACT(#0 FROM #1) AS BIGINT)
EXTRACT : 'field', day > few : (EXTRACT(#0 FROM #1) % 90) : (CAST(EXTRACT(#0 FROM #1) AS BIGINT) % 90)
EXTRACT : 'hand', stamp > int : EXTRACT(#0 FROM #1) : CAST(EXTRACT(#0 FROM #1) AS BIGINT)
EXTRACT : date > approx : EXTRACT(EPOCH FROM #0)
AT TIME ZONE : moment, 'zone' > approx : EXTRACT(EPOCH FROM date_trunc('second', #0) AT TIME ZONE #1)
l[n], l[a:b] : ints, 'digit' > int : #0[#1]
l[n], l[a:b] : codes, few > code : #0[#1] : #0[CAST(coalesce(#1, 1000000) AS INTEGER)]
l[n], l[a:b] : ints > int : #0[-1]
l[n], l[a:b] : ints > ints : #0[2:3]
@>, <@ : ints, ints > bool : (#0 @> #1) : CASE WHEN #0 IS NOT NULL THEN list_has_all(#0, #1) AND len(#1) = list_count(#1) END
@>, <@ : ints, ints > bool : (#0 <@ #1) : CASE WHEN #1 IS NOT NULL THEN list_has_all(#1, #0) AND len(#0) = list_count(#0) END
"""

# `#F` is where FILTER and OVER belong; at the end unless it is said.
# `#K` is an order that leaves no two different rows equal.
AGGREGATES = r"""
count : > int : count(*)
count : K > int
count : K > int : count(DISTINCT #0)
count : approx > int
sum : int > int : : CAST(sum(#0)#F AS BIGINT)
sum : int > int : sum(DISTINCT #0) : CAST(sum(DISTINCT #0)#F AS BIGINT)
sum : dbl > dbl
sum : dec > dec : CAST(sum(#0)#F AS DECIMAL(18, 2))
sum : approx > approx
avg : int > approx
avg : dbl > approx
avg : int > approx : avg(DISTINCT #0)
min : K > K
max : K > K
min : approx > approx
max : approx > approx
max_by : K, int > K : : arg_min(#0, CASE WHEN #1 IS NOT NULL THEN {'y': - #1, 'x': #0} END)
min_by : K, int > K : : arg_min(#0, CASE WHEN #1 IS NOT NULL THEN {'y': #1, 'x': #0} END)
any_value : K > K : : min(#0)
any_value : K > K : any_value(#0 ORDER BY #K) : list_filter(list(#0 ORDER BY #K)#F, lambda e: e IS NOT NULL)[1]
bool_and : bool > bool
bool_or : bool > bool
bit_and : int > int
bit_or : int > int
bit_xor : int > int
bit_xor : int > int : bit_xor(DISTINCT #0)
median : int > dbl
median : dbl > dbl
median : approx > approx
percentile_cont : 'share', dbl > approx : percentile_cont(#0) WITHIN GROUP (ORDER BY #1)
percentile_cont : int, 'share' > approx : quantile_cont(#0, #1)
percentile_disc : 'share', int > int : percentile_disc(#0) WITHIN GROUP (ORDER BY #1)
percentile_disc : day, 'share' > day : quantile_disc(#0, #1)
percentile_disc : dbl, 'share' > dbl : quantile_disc(#0, #1)
mode : int > int :
  : (list_sort([{'n': - CAST(e.value AS BIGINT), 'v': e.key} FOR e IN map_entries(histogram(#0)#F)]))[1].v
mode : code > code : mode() WITHIN GROUP (ORDER BY #0)
  : (list_sort([{'n': - CAST(e.value AS BIGINT), 'v': e.key} FOR e IN map_entries(histogram(#0)#F)]))[1].v
var : dbl > approx : : var_samp(#0)
var : int > approx : : var_samp(#0)
var_pop : dbl > approx : : var_pop(#0)
stddev : dbl > approx : : stddev(#0)
stddev_pop : int > approx
covar_samp : dbl, int > approx : : covar_samp(#0, #1)
corr : dbl, int > approx : nullif(corr(#0, #1)#F, CAST('NaN' AS DOUBLE))
regr_slope : dbl, int > approx : nullif(regr_slope(#0, #1)#F, CAST('NaN' AS DOUBLE))
regr_intercept : dbl, int > approx : nullif(regr_intercept(#0, #1)#F, CAST('NaN' AS DOUBLE))
regr_r2 : dbl, int > approx : nullif(regr_r2(#0, #1)#F, CAST('NaN' AS DOUBLE))
regr_count : dbl, int > int
approx_distinct : K > bool : (approx_distinct(#0)#F >= 0) : (count(#0)#F >= 0)
array_agg : int > ints : array_agg(#0 ORDER BY #K)
array_agg : code > codes : array_agg(#0 ORDER BY #K)
array_agg : int > ints : array_agg(DISTINCT #0 ORDER BY #0)
string_agg : code, 'separator' > code : string_agg(#0, #1 ORDER BY #K)
string_agg : code, 'separator' > code : string_agg(#0, #1) WITHIN GROUP (ORDER BY #0) : string_agg(#0, #1 ORDER BY #0)
string_agg : code, 'separator' > code : string_agg(DISTINCT #0, #1 ORDER BY #0)
first_value : K > K : first_value(#0 ORDER BY #K) : first(#0 ORDER BY #K)
last_value : K > K : last_value(#0 ORDER BY #K) : last(#0 ORDER BY #K)
nth_value : K > K : nth_value(#0, 2 ORDER BY #K) : (list(#0 ORDER BY #K)#F)[2]
"""

# `#O` is any order, `#K` one that leaves no two different rows equal, either with a partition before it.
WINDOWS = r"""
row_number : > int : row_number() OVER (#K)
rank : > int : rank() OVER (#O)
dense_rank : > int : dense_rank() OVER (#O)
percent_rank : > approx : percent_rank() OVER (#O)
cume_dist : > approx : cume_dist() OVER (#O)
ntile : 'count' > few : ntile(#0) OVER (#K)
lag : K > K : lag(#0) OVER (#K)
lag : K, 'digit', K > K : lag(#0, #1) OVER (#K)
lag : int, 'count' > int : lag(#0, #1, 0) OVER (#K)
lag : K > K : lag(#0) IGNORE NULLS OVER (#K) : lag(#0 IGNORE NULLS) OVER (#K)
lead : K > K : lead(#0) OVER (#K)
lead : int, 'count' > int : lead(#0, #1, 0) OVER (#K)
lead : K > K : lead(#0) IGNORE NULLS OVER (#K) : lead(#0 IGNORE NULLS) OVER (#K)
first_value : K > K : first_value(#0) OVER (#K#R)
first_value : K > K : first_value(#0) IGNORE NULLS OVER (#K#R) : first_value(#0 IGNORE NULLS) OVER (#K#R)
last_value : K > K : last_value(#0) OVER (#K#R)
last_value : K > K : last_value(#0) IGNORE NULLS OVER (#K#R) : last_value(#0 IGNORE NULLS) OVER (#K#R)
nth_value : K, 'count' > K : nth_value(#0, #1) OVER (#K#R)
"""

PARAMETERS = ("integer", "double", "decimal", "text", "date", "timestamp", "boolean")

# Entries that the generator's own methods write, by the names under which it counts them.
CLAUSES = {
    "WITH": ["WITH", "WITH … MATERIALIZED"],
    "SELECT": ["SELECT", "SELECT *", "SELECT * EXCLUDE", "SELECT * REPLACE"],
    "SELECT DISTINCT": ["SELECT DISTINCT"],
    "SELECT DISTINCT ON": ["SELECT DISTINCT ON"],
    "FROM": ["FROM"],
    "JOIN": ["JOIN"],
    "LEFT, RIGHT, FULL JOIN": ["LEFT JOIN", "RIGHT JOIN", "FULL JOIN"],
    "USING": ["USING"],
    "NATURAL JOIN": ["NATURAL JOIN"],
    "CROSS JOIN": ["CROSS JOIN"],
    "SEMI and ANTI JOIN": ["SEMI JOIN", "ANTI JOIN"],
    "LATERAL": ["LATERAL"],
    "PIVOT": ["PIVOT"],
    "UNNEST": ["UNNEST"],
    "VALUES": ["VALUES"],
    "WHERE": ["WHERE"],
    "GROUP BY": ["GROUP BY"],
    "GROUP BY ALL": ["GROUP BY ALL"],
    "ROLLUP": ["ROLLUP"],
    "CUBE": ["CUBE"],
    "GROUPING SETS": ["GROUPING SETS"],
    "FILTER": ["FILTER"],
    "HAVING": ["HAVING"],
    "OVER": ["OVER"],
    "ROWS": ["ROWS"],
    "RANGE": ["RANGE"],
    "GROUPS": ["GROUPS"],
    "WINDOW": ["WINDOW"],
    "QUALIFY": ["QUALIFY"],
    "UNION": ["UNION", "UNION ALL"],
    "INTERSECT": ["INTERSECT", "INTERSECT ALL"],
    "EXCEPT": ["EXCEPT", "EXCEPT ALL"],
    "scalar subquery": ["scalar subquery", "correlated subquery"],
    "ORDER BY": ["ORDER BY", "NULLS FIRST, NULLS LAST"],
    "LIMIT, OFFSET": ["LIMIT", "OFFSET"],
    "FETCH": ["FETCH"],
    "parameters": [f"parameter of {kind}" for kind in PARAMETERS],
}
OTHERS = {"EXISTS": ["EXISTS"], "ANY, ALL": ["ANY, ALL"], "IN": ["IN (SELECT)"], "rows": ["rows IN (SELECT)"]}
TABLE_FUNCTIONS = ["range", "generate_series", "unnest"]

# What the generator does not write, and why.
EXCLUDED = {
    "aggregate_functions": {"grouping": "draw.py writes it beside the clauses whose groups it tells apart"},
}


def lines(table):
    """The forms that a table lists, K still standing for any kind, by the entry's name."""
    found = collections.defaultdict(list)
    for line in table.strip().replace("\n  ", " ").splitlines():
        name, kinds, text, duck, *_ = [part.strip() for part in [*re.split(r" :(?= |$)", line), "", ""]]
        arguments, kind = [part.strip() for part in kinds.rsplit(">", 1)]
        found[name].append((split(arguments), kind, text, once(duck)))
    return found


def split(arguments):
    return [argument.strip() for argument in arguments.split(",") if argument.strip()]


def once(duck):
    """ONCE(x) written out."""
    at = duck.find("ONCE(")
    if at < 0:
        return duck
    depth, end = 0, at + 4
    while True:
        depth += {"(": 1, ")": -1}.get(duck[end], 0)
        if depth == 0:
            break
        end += 1
    return duck[:at] + ONCE.format(duck[at + 5 : end]) + duck[end + 1 :]


# What the words of `types` are, where a call's arguments all are of one of these kinds.
NUMBERS = {"number": ["dbl", "few"], "numbers": ["dbl", "few"], "double": ["dbl"]}
DERIVED = {
    "text": ["text"],
    "texts": ["text"],
    "date or timestamp": ["date", "stamp"],
    "timestamp": ["stamp"],
    "boolean": ["bool"],
    "integer": ["few"],
    "integers": ["few"],
    **NUMBERS,
}
RESULTS = {"double": "approx", "integer": "int", "text": "text", "boolean": "bool", "interval": "span", "date": "date"}


def derived(entry):
    """The forms that an entry's own fields say."""
    call = re.match(r"\w+\(([\w, ]*)\)$", entry["syntax"])
    taken, _, given = [part.strip() for part in entry["types"].partition("→")]
    if not call or entry.get("oracle") != "duckdb" or taken not in DERIVED or given not in RESULTS:
        return []
    arguments = len(split(call[1]))
    return [([kind] * arguments, RESULTS[given], "", "") for kind in DERIVED[taken]]


def each_kind(form):
    """A form once for each kind that K stands for."""
    arguments, kind, text, duck = form
    if "K" not in arguments and kind != "K":
        return [form]
    stand = lambda part, value: value if part == "K" else part
    return [([stand(part, value) for part in arguments], stand(kind, value), text, duck) for value in VALUES]


def call(name, arguments):
    return f"{name}({', '.join(f'#{at}' for at in range(len(arguments)))})"


def named(entry, form, feature):
    """The forms of an entry with their texts, one for each of its names where a text begins with the call."""
    arguments, kind, text, duck = form
    called = not text or text.startswith(f"{entry['name']}(")
    for name in [entry["name"], *entry.get("aliases", [])] if called else [entry["name"]]:
        said = name + text[len(entry["name"]) :] if text and called else text or call(name, arguments)
        spelled = duck or text or call(entry["name"], arguments)
        yield Form(feature, entry["group"], tuple(arguments), kind, said, spelled)


def of_table(kind, table, entries, ending=""):
    """The forms of a table of the surface, and what is said for no entry."""
    said, forms = lines(table), []
    for entry in entries:
        for form in said.pop(entry["name"], None) or derived(entry):
            for one in each_kind(form):
                forms += named(entry, one, entry["name"] + ending)
    assert not said, f"forms of {kind} that the surface does not have: {list(said)}"
    return forms


class Forms:
    """All forms, found by kind and by feature, and the names of all features."""

    def __init__(self):
        entries = collections.defaultdict(list)
        for kind, entry in surface.entries():
            if "refused" not in entry:
                entries[kind].append(entry)
        self.scalars = of_table("scalar_functions", SCALARS, entries["scalar_functions"])
        self.scalars += of_table("operators", OPERATORS, entries["operators"])
        self.aggregates = of_table("aggregate_functions", AGGREGATES, entries["aggregate_functions"], " of a group")
        self.windows = of_table("window_functions", WINDOWS, entries["window_functions"], " of a window")
        self.groups = collections.OrderedDict()
        for entry in entries["clauses"]:
            for name in CLAUSES.get(entry["name"], []):
                self.groups[name] = entry["group"]
        self.clauses = list(self.groups)
        for form in itertools.chain(self.scalars, self.aggregates, self.windows):
            self.groups.setdefault(form.feature, form.group)
        for names in OTHERS.values():
            self.groups.update((name, "Several queries") for name in names)
        self.groups.update((f"{name} in FROM", "Functions in FROM") for name in TABLE_FUNCTIONS)
        self.groups["grouping of a group"] = "Groups"
        self.features = list(self.groups)
        missing = list(self.missing(entries))
        assert not missing, f"neither generated nor excluded with a reason: {missing}"
        self.scalars_by_kind = by_kind(self.scalars)
        self.aggregates_by_kind = by_kind(self.aggregates)
        self.windows_by_kind = by_kind(self.windows)

    def missing(self, entries):
        """The entries of the surface that nothing here writes."""
        endings = {
            "aggregate_functions": " of a group",
            "window_functions": " of a window",
            "table_functions": " in FROM",
        }
        for kind, those in entries.items():
            for entry in those:
                name = entry["name"]
                known = name + endings.get(kind, "") in self.groups
                if not (known or name in EXCLUDED.get(kind, {}) or name in CLAUSES or name in OTHERS):
                    yield f"{kind}, {name}"


def by_kind(forms):
    """The forms that give a value of a kind, by kind and by feature."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for wanted, within in WITHIN.items():
        for form in forms:
            if form.kind in within:
                found[wanted][form.feature].append(form)
    return found
