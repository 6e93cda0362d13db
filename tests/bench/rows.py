# SPDX-License-Identifier: MPL-2.0
"""Members for the benchmark: as many as wanted, the same ones each time, made quickly.

What real members look like is the business of tests/samples; here every row has all ten fields,
names in several scripts, and no comma or quote, so that limit.c reads them as fast as can be."""

COLUMNS = "external_id,kind,name,email,country,city,language,phone,joined,status"
COUNTRIES = """
AF AI AM AQ AR AS AT AU AX AZ BB BE BF BG BH BI BJ BL BM BO BR BS BT BY CA CC CF CG CH CK
CM CN CO CU CV CW CY DE DK DO DZ EC EE EG EH ER ET FJ FM FO FR GA GB GE GF GH GM GQ GR GS
GU GY HK HM HU ID IL IQ IR IS IT JM JP KE KG KH KI KM KP KR KW KY KZ LC LI LK LR LS LT LU
LV LY MA MC MD ME MF MG MK ML MO MP MQ MR MS MT MV MW MX MZ NC NF NG NI NR NU NZ OM PA PF
PG PH PK PL PR PS PW PY QA RE RO RS RU RW SA SB SG SJ SK SN SR SS SV SY SZ TC TG TH TK TL
TM TO TR TT TW TZ UA UM US UY VA VC VE VG VI VU YE YT ZM ZW
""".split()
LANGUAGES = "fr en de lb nl pt ar ja hi pl tr ka".split()
GIVEN = "Zoé François Oliver Amelia Łukasz Ольга Ayşe José Nino Fatima Anouk 小明".split()
FAMILY = "Lefèvre Durand O'Neil Smith Wójcik Щербакова Yılmaz Núñez ბერიძე Benali Bakker 王".split()
STATUSES = ["active"] * 27 + ["pending", "lapsed", "suspended"]
CITIES = "Paris;Luxembourg;Montréal;Köln;Zürich;Dakar;São Paulo;東京;Kraków;თბილისი".split(";")


def write_rows(path, count):
    """A CSV of so many individuals, nine in ten of them active."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(COLUMNS + "\n")
        for start in range(0, count, 10000):
            file.write("".join(map(row, range(start, min(start + 10000, count)))))


def row(n):
    mixed = (n + 1) * 0x9e3779b97f4a7c15 >> 16 & 0xffffffffffff
    return "m%08d,individual,%s %s,m%08d@example.org,%s,%s,%s,+33 1 %08d,%04d-%02d-%02d,%s\n" % (
        n, GIVEN[mixed % 12], FAMILY[mixed // 12 % 12], n, COUNTRIES[mixed // 144 % 170],
        CITIES[mixed // 24480 % 10], LANGUAGES[mixed // 244800 % 12], mixed % 99999989,
        1992 + mixed // 2937600 % 34, 1 + mixed // 99878400 % 12, 1 + mixed // 1198540800 % 28,
        STATUSES[n % 30])


def active_of(count):
    """How many of the first count rows are active."""
    return sum(STATUSES[n % 30] == "active" for n in range(count % 30)) + count // 30 * 27
