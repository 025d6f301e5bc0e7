"""The thirty people of the demo, one for every state that a lead or a letter can be in.

Addresses under example.com reach nobody (RFC 2606), numbers are of the fictional 555-01 range.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Who asked, how long ago, and ``then``: what happened to them.

    ``answered_after`` is how soon somebody answered, in minutes of the clinic's opening time;
    ``wish`` the time of day at which they like to be reached; ``source`` where they came from.
    """

    name: str
    language: str
    zone: str
    country: str
    condition: str
    hours_ago: float
    phone: str = ""
    message: str = ""
    follow_ups: bool = True
    then: str = ""
    answered_after: int = 20
    note: str = ""
    wish: str = ""
    source: str = ""


_NY, _CHICAGO, _DENVER, _LA, _CR = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Costa_Rica",
)

SOURCES = {"Google Ads": "google", "Newsletter": "newsletter", "Facebook": "facebook"}

PEOPLE = (
    Person(
        "Janet Whitfield",
        "en",
        _NY,
        "US",
        "autoimmune",
        0.2,
        "+12015550112",
        "I have had rheumatoid arthritis for eleven years. Could this be something for me?",
        wish="morning",
        source="google",
    ),
    Person(
        "Rosa Solís Vargas",
        "es",
        _CR,
        "CR",
        "osteoarthritis",
        0.9,
        "+50622550134",
        "Me duelen las rodillas al subir escaleras. ¿Cuánto dura el tratamiento?",
        source="newsletter",
    ),
    Person("Marcus Ortiz", "en", _CHICAGO, "US", "athletes", 1.6, "+13125550155", wish="evening"),
    Person(
        "Priya Raman",
        "en",
        _LA,
        "US",
        "autoimmune",
        3,
        "+12135550171",
        "Can I keep taking methotrexate?",
        follow_ups=False,
        source="google",
    ),
    Person(
        "William O'Dell", "en", _DENVER, "US", "not_sure", 5.5, wish="afternoon", source="facebook"
    ),
    Person(
        "Carmen Ibarra",
        "es",
        _NY,
        "US",
        "autoimmune",
        9,
        "+13055550100",
        "Tengo lupus desde 2019. ¿Es seguro?",
    ),
    Person(
        "Tom Haverford-Lee",
        "en",
        _LA,
        "US",
        "other",
        14,
        "",
        "Asking for my father, who is 74.",
        wish="morning",
        source="newsletter",
    ),
    Person(
        "Denise Baptiste", "en", _NY, "US", "osteoarthritis", 20, "+16175550187", source="google"
    ),
    Person(
        "Henrik Lindqvist",
        "en",
        "Europe/Stockholm",
        "SE",
        "athletes",
        26,
        wish="evening",
        source="google",
    ),
    Person(
        "Ana Lucía Chaves", "es", _CR, "CR", "not_sure", 30, "+50688880123", source="newsletter"
    ),
    Person(
        "Buy Cheap Watches",
        "en",
        _NY,
        "US",
        "other",
        2.2,
        "",
        "https://watches.example https://watches.example https://watches.example",
        then="held",
        wish="afternoon",
    ),
    Person(
        "Grace Kim",
        "en",
        _LA,
        "US",
        "autoimmune",
        6.4,
        "+14155550132",
        then="held",
        source="google",
    ),
    Person(
        "Robot Runner",
        "en",
        _CHICAGO,
        "US",
        "not_sure",
        40,
        then="discarded",
        wish="morning",
        source="facebook",
    ),
    Person(
        "Leonard Fisk",
        "en",
        _NY,
        "US",
        "osteoarthritis",
        50,
        "+12125550144",
        "Two knee operations behind me.",
        then="contacted",
        answered_after=14,
        note="Warm, wants to read first.",
    ),
    Person(
        "María José Quesada",
        "es",
        _CR,
        "CR",
        "autoimmune",
        55,
        "+50670550119",
        then="contacted",
        answered_after=41,
        note="Su hija le ayuda a decidir; llamar después de las cinco.",
        wish="evening",
        source="newsletter",
    ),
    Person(
        "Samuel Adeyemi",
        "en",
        _CHICAGO,
        "US",
        "athletes",
        61,
        "+17735550126",
        "Hamstring, third time this season.",
        then="left_message",
        answered_after=25,
        source="google",
    ),
    Person(
        "Ruth Abramson",
        "en",
        _NY,
        "US",
        "autoimmune",
        70,
        "+19175550163",
        then="no_answer",
        answered_after=95,
        wish="afternoon",
        source="google",
    ),
    Person(
        "Kevin Doyle",
        "en",
        _DENVER,
        "US",
        "osteoarthritis",
        80,
        then="booked",
        answered_after=8,
        note="Has recent scans; brings them.",
        source="newsletter",
    ),
    Person(
        "Elena Petrova",
        "en",
        _NY,
        "US",
        "autoimmune",
        95,
        "+16465550108",
        then="booked",
        answered_after=62,
        note="Asked about travel with a companion.",
        wish="morning",
    ),
    Person(
        "Jorge Mora Fallas",
        "es",
        _CR,
        "CR",
        "osteoarthritis",
        110,
        then="patient",
        answered_after=31,
        note="Viene el martes.",
        source="google",
    ),
    Person(
        "Linda Castellano",
        "en",
        _NY,
        "US",
        "autoimmune",
        130,
        "+18455550159",
        then="patient",
        answered_after=19,
        note="Her doctor knows and agrees.",
        wish="evening",
        source="facebook",
    ),
    Person("Peter Novak", "en", _CHICAGO, "US", "other", 150, then="closed"),
    Person(
        "Yolanda Reyes",
        "es",
        _LA,
        "US",
        "autoimmune",
        170,
        then="closed",
        wish="afternoon",
        source="newsletter",
    ),
    Person("Amara Diallo", "en", _NY, "US", "not_sure", 190, then="unsubscribed", source="google"),
    # His first address had a slip in it: he is the Marcus who asked again today.
    Person(
        "Marc Ortiz",
        "en",
        _CHICAGO,
        "US",
        "athletes",
        210,
        "+13125550155",
        then="failed",
        wish="morning",
        source="google",
    ),
    Person(
        "Beatriz Salas",
        "es",
        _CR,
        "CR",
        "osteoarthritis",
        12,
        then="uncertain",
        source="newsletter",
    ),
    Person(
        "Oliver Grant",
        "en",
        _NY,
        "US",
        "autoimmune",
        8,
        "+15185550102",
        then="letter_held",
        wish="evening",
    ),
    Person(
        "Harriet Stone", "en", _DENVER, "US", "osteoarthritis", 240, then="expired", source="google"
    ),
    Person(
        "Isaac Feldman",
        "en",
        _NY,
        "US",
        "autoimmune",
        260,
        then="bounced",
        wish="afternoon",
        source="facebook",
    ),
    Person(
        "Teresa Umaña",
        "es",
        _CR,
        "CR",
        "not_sure",
        300,
        then="reopened",
        answered_after=170,
        note="Le parece caro por ahora.",
    ),
)
