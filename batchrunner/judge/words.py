"""Words by which pages and agents say that there was no way to the answer, in four languages."""

from __future__ import annotations

import re

BOT_WALL = "bot_wall"
LOGIN_WALL = "login_wall"
REFUSAL = "refusal"

#: Characters of a wall's own title or sentence.
LONGEST_SIGN = 600
#: Characters of a text beside nothing else, of which a word for a wall is enough.
LONGEST_MENTION = 300
#: What is longer is content, whatever is said in it; of a reason, only so much is read.
LONGEST = 1500


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


# ---- what a reason is about, once it is known to be one ----

_BOT = _any(
    r"captcha|access (to [^.]{1,60} )?((has been|was|is) )?denied|denied access|403 forbidden",
    r"unusual traffic|are you (a )?(human|robot)|verify (that )?you|automated (access|traffic|req)",
    r"bot[ -](wall|detection|check|protection|challenge)|anti-?(bot|robot)|cloudflare",
    r"perimeterx|datadome|akamai|imperva|incapsula|been blocked|not a robot|press (&|and) hold",
    r"blocked (by|access|the (agent|browser|request|visit|connection)|my)",
    r"(security|human) (check|challenge|verification)|http[^.]{0,10} 403\b",
    r"zugriff [^.]{0,60}?(verweigert|blockiert|gesperrt)|(kein|nicht ein) roboter",
    r"(anfrage|zugang) [^.]{0,30}(blockiert|gesperrt)|(bot|robot)-?(schutz|erkennung|prüfung)",
    r"sicherheits(über)?prüfung|ungewöhnlicher (daten)?verkehr|kein(en)? bot\b",
    r"verifying (that )?you|slid(e|ing) (the )?puzzle|site connection is secure|cloudfront",
    r"request (was |has been )?blocked|robot check|automat(ed|ion|ic) (browsing|tools?|visit)",
    r"checking (your|the|if)\b|prove (that )?you|bot or not|(ein|kein) mensch\b|interstitial",
    r"tráfico automatizado|neg(ó|ado) el acceso|trafic (inhabituel|automatisé)|êtes-vous un",
    r"(automatisierter?|ungewöhnliche[rn]?) (zugriff|anfragen|datenverkehr|verkehr)",
    r"accès [^.]{0,30}?(refusé|bloqué|interdit)|bloqu(é|e) (l.accès|ma requête|la requête)",
    r"un robot\b|(que )?vous êtes (bien )?(un )?humain",
    r"acceso [^.]{0,30}?(denegado|bloqueado|restringido)|(no (eres|es|soy) un|eres) (robot|humano)",
    r"bloque(ó|a|ado) (el acceso|la (solicitud|petición|conexión))",
)
_LOGIN = _any(
    r"\b(log(ged|ging)?|sign(ed|ing)?)[ -]?in\b|login\b|auth ?wall|paywall|authenticat",
    r"(requires?|needs?|have no|create|without|with) (an? )?(user )?account",
    r"(members|subscribers) only",
    r"(usuarios|clientes) registrados|(membres|abonnés|utilisateurs) (connectés|inscrits)",
    r"zugangsdaten|nur für mitglieder|identifiants\b|credenciales",
    r"registered (users|customers|members)|not registered|subscri(be|ption) (to|required)",
    r"\banmeld|\beinlogg|\bangemeldete?n?\b|melden sie sich|\bkundenkonto\b",
    r"\bconnecte[rz]\b|\bidentifie[rz]|\bêtre connecté|connexion requise",
    r"\binici(ar|a|e) sesión|iniciado sesión",
)
#: The same, where the reason may be about anything: only what says that a login is in the way.
_LOGIN_ASKED = _any(
    r"(log|sign)[ -]?in (wall|to continue|is required|page)",
    r"asks? to (log|sign) in|requires? (you to )?(a )?(log|sign)[ -]?in|not logged in|auth ?wall",
    r"anmeldung (ist )?(erforderlich|nötig)|verlangt eine anmeldung|bitte melden sie sich",
    r"demande de se connecter|connectez-vous|connexion requise|doit être connecté",
    r"(requiere|necesario|debe|debes) iniciar sesión|inici[ae] sesión",
)
_WALLS = re.compile(f"{_BOT.pattern}|{_LOGIN.pattern}", re.IGNORECASE)


def is_about_a_wall(reason: str) -> bool:
    """Say whether the reason of a failure is a captcha, a login or a bot wall."""
    said = reason[:LONGEST]
    return bool(_BOT.search(said) or _LOGIN_ASKED.search(said))


# ---- pages that are walls ----

_BOT_TITLE = _any(
    r"just a moment|attention required|access (to this page has been )?denied|robot check",
    r"(403 |error 403:? ?)?forbidden|403( error)?|security check(point)?|bot (check|detection)",
    r"pardon our interruption|(please )?verify (that )?you(.re| are) (a )?(human|not a robot)",
    r"(human|security|bot) verification|are you (a )?(human|robot)|(re|h)?captcha|ddos-guard",
    r"(sorry, )?you have been blocked|checking your browser|one more step|blocked",
    r"(error: )?the request could not be satisfied",
    r"zugriff verweigert|sicherheits(über)?prüfung",
    r"bestätigen sie, dass sie (kein roboter|ein mensch) sind",
    r"accès (refusé|interdit|bloqué)|vérifiez que vous (êtes humain|n.êtes pas un robot)",
    r"acceso (denegado|bloqueado|restringido)|verifi(ca|que) que (eres|es) (un )?humano",
)
_LOGIN_TITLE = _any(
    r"(please )?(log|sign)[ -]?in( required| page)?|(please )?(log|sign)[ -]?in (to|or) .{1,40}",
    r"\S+ login(, sign in)?|login required|authentication required",
    r"subscribe to (continue|read).{0,20}",
    r"anmelden|einloggen|anmeldung( erforderlich)?|bitte (melden sie sich an|einloggen)",
    r"(se connecter|connectez-vous|identifiez-vous|connexion( requise)?)( pour .{1,30})?",
    r"(inicia|inicie|iniciar) sesión( para .{1,30})?|acceder con tu cuenta",
)
_SEGMENT = re.compile(r"\s+[|–—·-]\s+")
_EDGES = " \t\r\n.!?…:»«\"'"

_BOT_PAGE = _any(
    r"access to this page has been denied|you don.t have permission to access",
    r"our systems have detected unusual traffic|sorry, you have been blocked",
    r"checking your browser before|enable javascript and cookies to continue",
    r"made us think (that )?you (were|are) a (ro)?bot",
    r"you(.re| are) not a (ro)?bot\b.{0,40}(press|hold|continue)",
    r"complete the (security check|captcha)|to discuss automated access",
    r"press (&|and) hold (the button )?to confirm",
    r"verify (that )?you are (a )?(human|not a robot) (by|to)",
    r"used cloudflare to restrict access",
)
_LOGIN_PAGE = _any(
    r"(please |you (must|need to|have to) )(be )?(log|sign)(ged|ned)?[ -]?in (to|before)",
    r"^(log|sign)[ -]?in (or (sign|log) ?(up|in) )?to (continue|view|see|read)",
    r"melden sie sich an, um|sie müssen (sich anmelden|angemeldet sein)",
    r"vous devez (être connecté|vous connecter)|connectez-vous pour",
    r"debes? iniciar sesión|inici[ae] sesión para",
)


#: One of these is in every text that the expressions above find: to look for them is much quicker.
_STEMS_OF_SIGNS = (
    *(
        "satisfied",
        "moment",
        "attention",
        "denied",
        "check",
        "forbidden",
        "403",
        "interruption",
        "verif",
    ),
    *("human", "robot", "captcha", "ddos", "blocked", "one more", "zugriff", "prüfung", "accès"),
    *("acceso", "permission", "traffic", "cookies", "bot", "automated", "confirm", "cloudflare"),
    *("log", "sign", "authentication", "subscribe", "anmeld", "einlogg", "melden", "connect"),
    *("connexion", "identifie", "sesión", "acceder", "humain"),
)


def sign(text: str) -> str | None:
    """Say which wall a page's title or sentence is, if it is one word for word."""
    if len(text) > LONGEST_SIGN or not _has(text, _STEMS_OF_SIGNS):
        return None
    whole = text.strip(_EDGES)
    parts = [part.strip(_EDGES) for part in _SEGMENT.split(whole)]
    for rule, titles, page in (
        (BOT_WALL, _BOT_TITLE, _BOT_PAGE),
        (LOGIN_WALL, _LOGIN_TITLE, _LOGIN_PAGE),
    ):
        if any(titles.fullmatch(part) for part in (whole, parts[0])) or page.search(text):
            return rule
    return None


# ---- agents that say what they could not do ----

_DONE = (
    r"(access|load|open|find|locate|extract|retriev|fetch|obtain|get\b|got\b|complet|determin|view"
    r"|read\b|reach|navigat|proceed|continu|process|ful?fil|perform|identif|display|brows|see\b"
    r"|provid|solv|pass\b|scrap|collect|verif|help|assist|answer|found|respond)"
)
_FAILED = _any(
    r"\bas an? (ai|(large )?language model)\b",
    r"\b(i|we)( ?.m| am| was| were| are)?( (sorry|afraid)[^.]{0,20}?)? ?(currently )?"
    rf"(unable|not able) to {_DONE}",
    rf"\b(i|we) (could ?n.t|could not|can.t|can ?not|cannot|did ?n.t manage to|failed to) {_DONE}",
    r"\b(i|we) (do not|don.t) have (access|permission)",
    r"\bhave no (access|credentials|data to return)",
    rf"(^|[.:;,!] *)(sorry, |unfortunately,? )?(unable|failed|not possible|impossible) to {_DONE}",
    rf"(^|[.:;,!] *)(sorry, |unfortunately,? )?(could not|couldn.t|cannot|can.t) (be )?{_DONE}",
    r"\b(page|site|website|data|details|information|price|results?) "
    rf"(could not|couldn.t|cannot|did not|didn.t|failed to) (be )?{_DONE}",
    rf"\bno [^.]{{1,40}} (could|can) be {_DONE}",
    r"\b(extraction|navigation|request|scraping|task) (has )?(failed|timed out)|element not found",
    r"\bso (i|no) [^.]{1,30}(data|extracted)|\bi apologi[sz]e\b[^.]{0,10}but",
    r"\bich (konnte|kann|war)\b[^.]{0,80}?\b(nicht|keine?n?)\b|\bes tut mir leid\b",
    r"\bkonnten? [^.]{0,60}?(nicht|keine) [^.]{0,30}(werden|geladen|gefunden)",
    r"\bleider (konnte|kann)",
    r"je n.ai (pas|malheureusement pas) pu|je ne (peux|suis|parviens) pas|\bdésolée?\b",
    r"impossible (d.|de )(accéder|trouver|charger|extraire|lire|récupérer|obtenir|ouvrir)",
    r"impossible de continuer",
    r"n.ont? pas pu être|pas en mesure d|aucune (information|donnée)",
    r"\b(i|we) (wasn|weren|am not|aren).?t able to",
    r"\b(task|goal|step) (could not|couldn.t|cannot) be",
    r"\b(page|product|item|site|listing|url|link) (does not|doesn.t|no longer) exists?\b",
    r"\bsomething went wrong|\ban error occurred|\bout of reach|\brefused to (show|load|open)",
    r"\b(wurden?|werden|gibt es|ich finde) [^.]{0,30}keine? |nicht (erreichbar|sichtbar|abrufbar)",
    r"\bje ne [^.]{1,20} pas\b|\baucune? [^.]{1,30}n.(a|ont) pu|n.a pas (chargé|fonctionné)",
    r"\bno (carg(ó|a)|aparece|existe|respond(ió|e)|funcion(ó|a)|encontré|logré)\b|\bhubo un error",
    r"\b(information|data|price|details?|product) (is|was|are|were) (not|nowhere) "
    r"(on|shown|available|present|listed|found|visible|given)",
    r"\bno (such )?(information|data|details?|product|page|results?) "
    r"(is |was |were |are )?(available|found|given|on this|on the)|page never loaded",
    r"liegen? [^.]{0,30}keine|keine (informationen|daten|angaben) [^.]{0,30}(gefunden|verfügbar)",
    r"no hay (información|datos)|no se encontr(ó|aron)",
    r"\bno (pude|puedo|pudimos|podemos|he podido|logré)\b|\blo siento\b|no se (pudo|ha podido)",
    r"\bno (fue|es|ha sido) posible",
)
#: Hindrances, beside which a word for a wall says that it was in the way.
_IN_THE_WAY = _any(
    r"prevent|block|denied|deny|restrict|protect|behind|instead of|hides?\b|redirect|in order to",
    r"requir|needs?\b|asks?\b|before\b|not logged|responded with|could not",
    r"only showed|shown?\b|shows\b",
    r"only visible|visible only|nur für|have no",
    r"displayed|encounter|returned|returns|presented|incident",
    r"appeared|refus|detected|not visible|only\b|nothing else|no data|out of reach|\bnot\b",
    r"\bnur\b|\bnicht\b|\bohne\b|\bhay que\b|\bsolo\b|\bseul|\bne .{1,20} pas\b|sans\b",
    r"verweiger|blockier|verlangt|erforderlich|gelöst werden|um die .{1,40}muss",
    r"bloqu|refus|demande\b|il faut|protégé|requis",
    r"bloque|exige|requiere|necesari|deneg|protegid",
)
_NOT_IN_THE_WAY = _any(
    r"^\W*(yes|no|ja|nein|oui|non|sí|si)\b\W",
    r"\bno (log|sign)[ -]?in|\bno account (is )?(needed|required)",
    r"without (a )?(log|sign)|not (be )?required|optional",
    r"ohne anmeldung|keine anmeldung|sans (inscription|connexion)|sin (registro|iniciar)",
)
#: Texts that are about such things, and do not meet them.
_ABOUT = _any(
    r"\b(articles?|guides?|tutorials?|posts?|reports?|book|film|artikel|anleitung|artículo|guía)\b"
    r".{0,40}\b(explain|describ|shows? (how|why|dev)|discuss|teach|cover|compar|expli|erkl"
    r"|beschr|décri)",
    r"\bhow to\b|\bhelps you\b|\busers (were|are|cannot|can.t)\b|\bwe deny\b",
)
_BUT = _any(r"\b(but|however|aber|jedoch|mais|pero|sin embargo)\b")
#: Keys under which people speak, or releases, rules and lessons are told.
_CONTENT = _any(
    r"(reviews?|comments?|quotes?)_(text|body)|reviews?|quotes?|testimonials?|lyrics|feedback|transcript|tweets?|release_?notes|changelog",
    r"terms|policy|questions?|faqs?|headlines?|definition|translation",
)


#: One of these is in every text that the expressions above find: to look for them is much quicker.
_STEMS_OF_FAILURE = (
    *("unable", "not able", "could", "can", "impossible", "not possible", "failed", "timed out"),
    *(" model", "as an ai", "have access", "have permission", "have no ", "not found", "did"),
    *("so i ", "so no ", "apolog", "konnte", "ich war", "leid", "pas ", "désolé", "pude", "puedo"),
    *(
        "able to",
        "is not",
        "was not",
        "are not",
        "were not",
        "nowhere",
        "no such",
        "no information",
    ),
    *("no data", "no detail", "no product", "no page", "no result", "never loaded", "liegen"),
    *("keine", "aucune", "no hay", "encontr", "be completed"),
    *("exist", "went wrong", "error", "out of reach", "refused to", "wurde", "werden", "gibt es"),
    *(
        "finde",
        "nicht ",
        "je ne",
        "aucun",
        "n'a pas",
        "n’a pas",
        "no carg",
        "no aparece",
        "no respond",
    ),
    *("no funcion", "hubo"),
    *("pudimos", "podemos", "he podido", "logré", "siento", "no se pudo", "no se ha", "posible"),
)
_STEMS_OF_WALLS = (
    *("captcha", "denied", "403", "traffic", "human", "robot", "verify", "automated", "bot"),
    *("cloudflare", "perimeterx", "datadome", "akamai", "imperva", "incapsula", "block", "hold"),
    *("check", "challenge", "verification", "zugriff", "zugang", "prüfung", "accès", "bloqu"),
    *("humain", "acceso", "humano", "log", "sign", "authwall", "auth wall", "paywall", "anmeld"),
    *("puzzle", "secure", "cloudfront", "verkehr", "account", "only", "registered", "subscri"),
    *(
        "authenticat",
        "automat",
        "prove",
        "mensch",
        "interstitial",
        "acceso",
        "inhabituel",
        "êtes-vous",
    ),
    *(
        "registrados",
        "membres",
        "abonnés",
        "inscrits",
        "zugangsdaten",
        "mitglieder",
        "identifiants",
    ),
    *("credenciales", "konto", "melden", "connect", "connexion", "identifie", "sesión"),
)


def _has(text: str, stems: tuple[str, ...]) -> bool:
    lower = text.lower()
    return any(stem in lower for stem in stems)


def told(text: str, key: str) -> str | None:
    """Say what a text that is all there is tells of a way that was closed, if it does."""
    if len(text) > LONGEST or _CONTENT.fullmatch(key):
        return None
    failed = _FAILED.search(text) if _has(text, _STEMS_OF_FAILURE) else None
    if failed and _goes_on(text[failed.end() :]):
        return None
    if failed:
        return _wall(text) or REFUSAL
    if not _has(text, _STEMS_OF_WALLS):
        return None
    wall = _WALLS.search(text)
    if wall is None or _ABOUT.search(text) or _NOT_IN_THE_WAY.search(text):
        return None
    around = text[: wall.start()] + text[wall.end() :]
    return _wall(text) if _IN_THE_WAY.search(around) or _WALLS.search(around) else None


def mentions(text: str) -> str | None:
    """Say which wall a short text speaks of, in whatever way."""
    if len(text) > LONGEST_MENTION or not _has(text, _STEMS_OF_WALLS):
        return None
    return None if _NOT_IN_THE_WAY.search(text) else _wall(text)


def complaint(text: str) -> str:
    """Say what a text is about that is known to tell of a failure."""
    return _wall(text) or REFUSAL


def _wall(text: str) -> str | None:
    if _BOT.search(text):
        return BOT_WALL
    return LOGIN_WALL if _LOGIN.search(text) else None


def _goes_on(rest: str) -> bool:
    """Say whether an answer follows what could not be done."""
    turn = _BUT.search(rest)
    after = rest[turn.end() :] if turn else ""
    enough = len(after.split()) >= 4
    return enough and not (_FAILED.search(after) or _wall(after) or "error" in after.lower())
