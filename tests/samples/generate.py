#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Sample members for tests and the demo, the same for the same arguments everywhere.

generate.py --chapters fr,lu,qc --members 3000 --shared 25 --seed 1 --out DIR

writes DIR/CODE.csv in the canonical columns (hq.csv: organizations and affiliates, the others:
individuals) and DIR/expected.json, what a federation that imported all of them must count.
--chapters all takes every chapter of chapters.csv.  Nobody in here exists: mail domains are
those reserved for examples.
"""

import argparse
import csv
import json
import os
import random
import sys
import unicodedata

COLUMNS = ["id", "external_id", "kind", "name", "email", "country", "city", "language", "phone",
           "joined", "expires", "status", "notes"]

# language -> (given names, family names, family name first, joined by); each "name/latin form"
NAMES = {
    "fr": ("Zoé Noël François Hélène Jérôme Aïcha Maëlle Benoît Chloé Théo Inès Gaël",
           "Lefèvre Durand Müller-Garnier Bézier D'Alençon Nguyễn Côté Tremblay Hébert Benali",
           0, " "),
    "en": ("Siobhán Oliver Amelia Jack Zadie Winston Björk Priya Malcolm Ngozi",
           "O'Neil Smith Brontë Okafor Macdonald Singh Naïve-Jones Evans Achebe", 0, " "),
    "de": ("Jürgen Käthe Søren Grete Uwe Änne Jörg Lukas Heiko Ursel",
           "Größer Müller Weiß Schäfer Özdemir Bauer Vogel Kühn", 0, " "),
    "nl": ("Joost Anouk Maarten Fleur Daniël Liesbeth",
           "de_Vries 't_Hooft van_den_Berg Bakker Jansen", 0, " "),
    "es": ("José María Íñigo Begoña Raúl Lucía Andrés Ximena",
           "Núñez García Peña Ibáñez Muñoz López", 0, " "),
    "pt": ("João Conceição Inês Luís Caetano Beatriz",
           "Gonçalves Araújo Simões Magalhães Silva", 0, " "),
    "it": ("Niccolò Chiara Giosuè Lucia Matteo", "D'Amico Rossi Però Bianchi Ferrari", 0, " "),
    "pl": ("Łukasz Małgorzata Paweł Zofia Stanisław",
           "Wójcik Żukowski Śliwa Kowalczyk", 0, " "),
    "tr": ("İbrahim Ayşe Çağrı Işıl Özgür", "Yılmaz Şahin Öztürk Doğan", 0, " "),
    "sv": ("Åsa Göran Märta Håkan Elin", "Öberg Sjögren Lindström Åkesson", 0, " "),
    "el": ("Γιώργος/Giorgos Ελένη/Eleni Νίκος/Nikos Σοφία/Sofia",
           "Παπαδόπουλος/Papadopoulos Βασιλείου/Vasileiou Αγγελής/Angelis", 0, " "),
    "ru": ("Ольга/Olga Дмитрий/Dmitri Наталья/Natalia Юрий/Yuri",
           "Щербакова/Shcherbakova Ёлкин/Yolkin Иванов/Ivanov", 0, " "),
    "uk": ("Оксана/Oksana Тарас/Taras Їлена/Yilena Ганна/Hanna",
           "Шевченко/Shevchenko Ґонта/Gonta Кравець/Kravets", 0, " "),
    "bg": ("Ивайло/Ivaylo Цветана/Tsvetana Борис/Boris",
           "Димитров/Dimitrov Петрова/Petrova", 0, " "),
    "ka": ("გიორგი/Giorgi ნინო/Nino დავით/Davit", "ბერიძე/Beridze კაპანაძე/Kapanadze", 0, " "),
    "hy": ("Արամ/Aram Անի/Ani Տիգրան/Tigran", "Պետրոսյան/Petrosyan Հակոբյան/Hakobyan", 0, " "),
    "ar": ("محمد/Mohammed فاطمة/Fatima يوسف/Youssef ليلى/Leila",
           "الحسن/Alhassan خليل/Khalil بن_علي/Benali منصور/Mansour", 0, " "),
    "he": ("דוד/David נועה/Noa יעל/Yael", "כהן/Cohen לוי/Levy מזרחי/Mizrahi", 0, " "),
    "hi": ("अनीता/Anita राजेश/Rajesh प्रिया/Priya",
           "शर्मा/Sharma गुप्ता/Gupta सिंह/Singh", 0, " "),
    "th": ("สมชาย/Somchai สุดา/Suda", "ใจดี/Jaidee ศรีสุข/Srisuk", 0, " "),
    "zh": ("小明/Xiaoming 美玲/Meiling 志強/Zhiqiang", "王/Wang 李/Li 陳/Chen 歐陽/Ouyang", 1, ""),
    "ja": ("花子/Hanako 太郎/Taro さくら/Sakura 健一/Kenichi", "山田/Yamada 佐藤/Sato 渡邉/Watanabe", 1, " "),
}
NEAREST = {"lb": "fr", "ht": "fr", "ca": "es", "fi": "sv", "nb": "sv", "nn": "sv", "da": "sv",
           "sr": "ru", "mk": "bg", "sl": "pl", "hu": "pl", "ro": "it", "ne": "hi"}  # else en
PLACES = {
    "FR": ("+33", "Paris;Lyon;Saint-Étienne;L'Haÿ-les-Roses"),
    "LU": ("+352", "Luxembourg;Esch-sur-Alzette;Diekirch"),
    "CA": ("+1", "Montréal;Québec;Trois-Rivières;Toronto"),
    "BE": ("+32", "Bruxelles;Liège;Gent"), "CH": ("+41", "Zürich;Genève"),
    "DE": ("+49", "Köln;München;Berlin"), "GB": ("+44", "London;Leeds"),
    "US": ("+1", "New York;Reston, VA"), "JP": ("+81", "東京;大阪"), "GR": ("+30", "Αθήνα;Πάτρα"),
    "SN": ("+221", "Dakar;Thiès"), "MA": ("+212", "Rabat;الدار البيضاء"),
    "VN": ("+84", "Hà Nội"), "BR": ("+55", "São Paulo"),
}
ABROAD = ["BE", "CH", "DE", "GB", "US", "SN", "MA", "VN", "BR", "JP"]
NOTES = ["", "", "", "", "", "", "helps with \"IPv6 days\"; has a key, a badge",
         "speaks at schools,\nwrote the first charter", "prefers letters", "naïve café ☕, 日本語も"]
ORGANIZATIONS = ["Réseau", "Networks", "Telecom", "Ağ", "Сеть", "ネット", "Exchange", "Registry",
                 "University", "Foundation"]
PLACES_OF_WORK = ["Northern", "Île", "Lake", "Harbour", "Süd", "Alpha", "Ωmega", "Mountain",
                  "Sahel", "Pacific", "Old Town"]
LEGAL = ["GmbH", "S.A.", "Ltd", "asbl", "e.V.", "株式会社", "ООО", "Inc."]
STATUSES = [("active", 0.90), ("pending", 0.04), ("lapsed", 0.04), ("suspended", 0.02)]


class Dice:
    """random() alone is the same in every version of Python; choice() and the like are not."""

    def __init__(self, seed):
        self.random = random.Random("chapterd samples %d" % seed).random

    def below(self, count):
        return int(self.random() * count)

    def pick(self, items):
        return items[self.below(len(items))]


def latin(text):
    """For the part of an address before the @."""
    plain = unicodedata.normalize("NFD", text.translate(str.maketrans("łøıđŁØß", "loidLOs")))
    return "".join(c for c in plain.lower() if "a" <= c <= "z" or c == "-").strip("-")


def read_chapters(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


class Samples:
    def __init__(self, chapters, options):
        self.chapters = chapters
        self.dice = Dice(options.seed)
        self.number = 0
        self.rows = {code: [] for code in ["hq"] + list(chapters)}
        self.names_alone = {code: set() for code in self.rows}
        self.fill(options.members, options.shared)

    def person_name(self, language):
        given, family, family_first, between = NAMES[language]
        given, _, given_latin = self.dice.pick(given.split()).partition("/")
        family, _, family_latin = self.dice.pick(family.split()).partition("/")
        given, family = given.replace("_", " "), family.replace("_", " ")
        name = between.join([family, given] if family_first else [given, family])
        return name, latin(given_latin or given) + "." + latin(family_latin or family)

    def row(self, code, **fields):
        row = dict.fromkeys(COLUMNS, "")
        row.update(fields)
        if self.dice.random() < 0.9:
            row["external_id"] = "%s-%05d" % (code.upper(), len(self.rows[code]) + 1)
        row["joined"] = "%d-%02d-%02d" % (1992 + self.dice.below(34), 1 + self.dice.below(12),
                                          1 + self.dice.below(28))
        row["expires"] = "2099-12-31" if self.dice.random() < 0.95 else ""
        row["notes"] = self.dice.pick(NOTES)
        self.rows[code].append(row)
        return row

    def status(self):
        at = self.dice.random()
        for name, share in STATUSES:
            at -= share
            if at < 0:
                return name
        return "active"

    def individual(self, code):
        chapter = self.chapters[code]
        language = self.dice.pick(chapter["languages"].split(";"))
        abroad = self.dice.random() < 0.05
        country = self.dice.pick(ABROAD) if abroad else chapter["country"]
        near = NEAREST.get(language, language)
        name, address = self.person_name(near if near in NAMES else "en")
        dial, cities = PLACES.get(country, ("", ""))
        self.number += 1
        row = self.row(code, kind="individual", name=name, country=country, language=language,
                       city=self.dice.pick(cities.split(";")), status=self.status(),
                       email="%s.%d@%s" % (address, self.number,
                                           self.dice.pick(["example.org", "example.net",
                                                           "mail.example"])))
        if dial and self.dice.random() < 0.5:
            row["phone"] = "%s %d %02d %02d" % (dial, 100 + self.dice.below(900),
                                                self.dice.below(100), self.dice.below(100))
        # without an address, a name that nobody else has is what tells people apart
        if self.dice.random() < 0.01 and name not in self.names_alone[code]:
            self.names_alone[code].add(name)
            row["email"] = ""

    def organization(self, kind, countries):
        self.number += 1
        name = "%s %s %d %s" % (self.dice.pick(PLACES_OF_WORK), self.dice.pick(ORGANIZATIONS),
                                self.number, self.dice.pick(LEGAL))
        status = "active" if self.dice.random() < 0.9 else "pending"
        self.row("hq", kind=kind, name=name, email="office.%d@%s.example" % (self.number, kind),
                 country=self.dice.pick(countries), status=status, language="en")

    def share(self, count):
        """count persons become members of a second chapter: a row there takes over name and
        e-mail of one here, not always in the same letters."""
        codes = list(self.chapters)
        free = {code: [r for r in self.rows[code] if r["status"] == "active" and r["email"]]
                for code in codes}
        for at in range(count):
            able = sorted((c for c in codes if free[c]), key=lambda c: -len(free[c]))
            if len(able) < 2:
                sys.exit("generate.py: too few members in two chapters for --shared %d" % count)
            # from the fullest to the others in turn, so that the smallest are not drained
            first, second = able[0], able[1 + at % (len(able) - 1)]
            one = free[first].pop(self.dice.below(len(free[first])))
            two = free[second].pop(self.dice.below(len(free[second])))
            two["name"], two["email"] = one["name"], one["email"]
            if at % 3 == 1:
                two["email"] = one["email"].upper()
            elif at % 3 == 2:
                two["email"] = one["email"].title()

    def fill(self, members, shared):
        of_hq = min(170, members // 30)
        weights = {code: 0.5 + self.dice.random() for code in self.chapters}
        left = members - of_hq
        total = sum(weights.values())
        for code in self.chapters:
            count = round(left * weights[code] / total)
            left -= count
            total -= weights[code]
            for _ in range(count):
                self.individual(code)
        self.share(shared)
        countries = sorted({r["country"] for rows in self.rows.values() for r in rows
                            if r["status"] == "active"})
        for at in range(of_hq if countries else 0):
            self.organization("organization" if at % 17 < 8 else "affiliate", countries)

    def expected(self):
        everyone = [(code, row) for code, rows in self.rows.items() for row in rows]
        active = [(code, row) for code, row in everyone if row["status"] == "active"]
        individuals = [row for _, row in active if row["kind"] == "individual"]
        addresses = [row["email"].strip().lower() for row in individuals if row["email"]]
        return {
            "rows": {code: len(rows) for code, rows in self.rows.items() if rows},
            "memberships": len(active),
            "individuals": len(individuals),
            "organizations": sum(row["kind"] == "organization" for _, row in active),
            "affiliates": sum(row["kind"] == "affiliate" for _, row in active),
            "countries": len({row["country"] for _, row in active}),
            "persons": len(set(addresses)) + sum(not row["email"] for row in individuals),
            "shared_persons": len(addresses) - len(set(addresses)),
            "by_chapter": count(code for code, _ in active),
            "by_kind": count(row["kind"] for _, row in active),
            "by_country": count(row["country"] for _, row in active),
            "by_status": count(row["status"] for _, row in everyone),
        }


def count(values):
    totals = {}
    for value in values:
        totals[value] = totals.get(value, 0) + 1
    return dict(sorted(totals.items()))


def write(samples, directory):
    os.makedirs(directory, exist_ok=True)
    for code, rows in samples.rows.items():
        if not rows:
            continue
        path = os.path.join(directory, code + ".csv")
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    with open(os.path.join(directory, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(samples.expected(), file, ensure_ascii=False, indent=1)
        file.write("\n")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    known = read_chapters(os.path.join(here, "chapters.csv"))
    parser = argparse.ArgumentParser(description="Sample members for tests and the demo.")
    parser.add_argument("--chapters", default="fr,lu,qc", help="codes of chapters.csv, or all")
    parser.add_argument("--members", type=int, default=3000, help="rows of all files together")
    parser.add_argument("--shared", type=int, default=25, help="persons in two chapters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, metavar="DIR")
    options = parser.parse_args()
    codes = list(known) if options.chapters == "all" else options.chapters.split(",")
    unknown = [code for code in codes if code not in known]
    if unknown:
        parser.error("not in chapters.csv: " + ", ".join(unknown))
    if len(set(codes)) != len(codes) or options.members < 0 or options.shared < 0:
        parser.error("each chapter once, and no negative numbers")
    write(Samples({code: known[code] for code in codes}, options), options.out)


if __name__ == "__main__":
    main()
