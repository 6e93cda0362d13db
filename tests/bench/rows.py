# SPDX-License-Identifier: MPL-2.0
"""Members for the benchmark: as many as wanted, the same ones each time, made quickly.

What real members look like is the business of tests/samples; here every row has all ten fields,
names in several scripts, and no comma or quote, so that limit.c reads them as fast as can be."""

COLUMNS = "external_id,kind,name,email,country,city,language,phone,joined,status"
COUNTRIES = "FR LU BE CH DE GB US SN MA VN BR JP CA IN KE PL TR GE".split()
LANGUAGES = "fr en de lb nl pt ar ja hi pl tr ka".split()
GIVEN = "Zoé François Oliver Amelia Łukasz Ольга Ayşe José Nino Fatima Anouk 小明".split()
FAMILY = "Lefèvre Durand O'Neil Smith Wójcik Щербакова Yılmaz Núñez ბერიძე Benali Bakker 王".split()
CITIES = "Paris;Luxembourg;Montréal;Köln;Zürich;Dakar;São Paulo;東京;Kraków;თბილისი".split(";")


def write_rows(path, count):
    """A CSV of so many active individuals."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(COLUMNS + "\n")
        for start in range(0, count, 10000):
            file.write("".join(map(row, range(start, min(start + 10000, count)))))


def row(n):
    mixed = (n + 1) * 0x9e3779b97f4a7c15 >> 16 & 0xffffffffffff
    return "m%08d,individual,%s %s,m%08d@example.org,%s,%s,%s,+33 1 %08d,%04d-%02d-%02d,active\n" % (
        n, GIVEN[mixed % 12], FAMILY[mixed // 12 % 12], n, COUNTRIES[mixed // 144 % 18],
        CITIES[mixed // 2592 % 10], LANGUAGES[mixed // 25920 % 12], mixed % 99999989,
        1992 + mixed // 311040 % 34, 1 + mixed // 10575360 % 12, 1 + mixed // 126904320 % 28)
