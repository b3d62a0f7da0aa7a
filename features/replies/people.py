"""The person and the mailbox that a reply points to, apart from the writer himself and from us."""

import re
from typing import Final, NamedTuple

from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.people_cjk import find_cjk_name

_ADDRESS: Final = re.compile(
    r"(?<![\w.+-])[a-z0-9][\w.+-]{0,63}\s?(?:@|＠|\s?[\[({]\s?(?:at|@|arroba|chez|malpa)\s?[\])}]\s?|\s(?:at|arroba)\s)\s?"  # noqa: RUF001
    r"[a-z0-9](?:[\w-]{0,62})(?:(?:\.|\s?[\[({]\s?(?:dot|punkt|punto|point|ponto)\s?[\])}]\s?|\s(?:dot|punkt|punto|point|ponto)\s)[a-z0-9][\w-]{0,62}){1,5}",
    re.IGNORECASE | re.ASCII,
)
_AT: Final = re.compile(r"\s?(?:＠|[\[({]\s?(?:at|@|arroba|chez|malpa)\s?[\])}]|\s(?:at|arroba)\s)\s?|\s?@\s?", re.IGNORECASE)  # noqa: RUF001
_DOT: Final = re.compile(r"\s?[\[({]\s?(?:dot|punkt|punto|point|ponto)\s?[\])}]\s?|\s(?:dot|punkt|punto|point|ponto)\s", re.IGNORECASE)
_NOT_A_PERSON: Final = re.compile(r"^(?:no-?_?reply|do-?not-?reply|mailer-daemon|postmaster|bounce\w*|unsubscribe|abmelden)\b", re.IGNORECASE)
_QUOTE: Final = re.compile(
    r"^(?:>|-{2,}\s*(?:original|forwarded|ursprung|weitergel|message|mensa|messag|doorgest|oorspr|vidareb|przekaz|urspr|転送|元の|转发|原始)|_{8,}|begin forwarded"
    r"|(?:from|von|de|da|van|fran|od|差出人|发件人|寄件者)\s?[:：]\s.{0,120}$"  # noqa: RUF001
    r"|(?:on|am|le|el|em|il|op|den|w dniu|dnia)\s.{4,120}(?:wrote|schrieb|ecrit|escribio|escreveu|scritto|schreef|skrev|pisze|napisal\w*)\b.{0,60}:\s*$"
    r"|.{4,80}(?:のメール|写道|寫道)\s?[:：]\s*$)",  # noqa: RUF001
    re.MULTILINE,
)
"""Where the quoted thread begins, for texts that come uncleaned."""

_NAME: Final = re.compile(
    r"(?<![\w@.'’-])(?:[^\W\d_](?:[^\W\d_]|['’](?=[^\W\d_]))*+(?:-[^\W\d_]++)*+)"  # noqa: RUF001
    r"(?:[ ](?:(?:de|da|do|dos|das|di|del|della|van|von|der|den|ter|zu|la|le|el|y|af|al|bin|ben|mac|[A-Z]\.)[ ]){0,3}"
    r"[^\W\d_a-z](?:[^\W\d_]|['’](?=[^\W\d_]))*+(?:-[^\W\d_]++)*+){0,3}(?![\w@])"  # noqa: RUF001
)
_TITLE: Final = re.compile(
    r"(?<!\w)((?:mr|mrs|ms|miss|dr|prof|professor|herrn?|frau|fr|hr|m|mme|mlle|monsieur|madame|maitre|me|sr|sra|srta|don|dona|senor|senora|ing|lic|arq|eng|doutora?"
    r"|dra|sig|sig\.ra|sig\.na|signora?|dott|dott\.ssa|dottoressa|avv|arch|geom|rag|dhr|mevr|mevrouw|meneer|dipl\.-ing|mag|pan|pani|panem|pana|p|siostra|mgr|inz|fru|herr"
    r"|sister|father|coach|chef|sir|lady|senhora?|de heer)\.?(?:\s(?:dr|prof|ing|mag)\.?)?)\s*$"
)
_KEPT_TITLES: Final = re.compile(r"^(?:p|me|fr|hr|chef|de heer)\.?$")
_CUE: Final = re.compile(
    r"(?<!\w)(?:contact|kontakt\w*|contacta\w*|contacte[rz]?|contattar\w*|contatt\w*|talk to|speak (?:to|with)|ask|asking|try|email|e-mail|mail|message|call|ring|reach(?: out to)?|write(?: to)?|writing to"
    r"|cc(?:'?ing|'?d|ed)?|copy(?:ing)?(?: in)?|copied(?: in)?|loop(?:ing|ed)?(?: in)?|add(?:ing|ed)?|introduc(?:e|ing)|intro to|meet|pass(?:ed|ing)?(?: it| this| you)?(?: on| over| along)?(?: to)?"
    r"|forward(?:ed|ing)?(?: it| this| your \w+)?(?: on)?(?: to)?|sent (?:it|this|your \w+)(?: on)? to|handed(?: it| this)?(?: over)? to|belongs to|sits with|goes? (?:to|through)|moved to|passed to|liaise with|coordinate with|check with"
    r"|refer(?:red)? to|direct(?:ed)? to|over to|via|through|colleague|coworker|boss|manager|successor|replacement|deputy|assistant|tagging|deals? with|person is|would be|that'd be|that's|it's|wants|need|up to|under"
    r"|an|bei|mit|wenden|kollegen?|kollegin|kolleg(?:e|in)|vertret\w+|nachfolg\w+|ansprechpartner\w*|zustandig\w*|ubernimmt|frag\w*|sprich|cc|weitergeleitet an|weitergegeben an|leite\w* .{0,20}an|ist|macht|anrufen|bitte"
    r"|aupres de|avec|a|c'est|ma collegue|mon collegue|collegue|contactez|contacter|ecrire a|ecrivez a|adresse[rz](?:-vous)? a|voyez|voir|joindre|mets|met|transmis a|transfere a|transmets a|copie|essaie|demande[rz]?|responsable"
    r"|con|escrib\w* a|escribe a|dirij\w* a|dirigirse a|comuni\w+ con|copio a|copio|habl\w+ con|lo lleva|lo ve|lo maneja|la lleva|es|companer[oa]|colega|encargad[oa]|preg[u]\w+ a|pregunt\w+ por|le paso|paso a|reenvi\w+ a|copiando a|busc\w+ a|contactar a|contactar con"
    r"|fal\w+ com|com|encaminh\w+ (?:para|a|ao|pro|pra)|para|pro|pra|procur\w+|ao|quem .{1,40} e|e|cuida|copi[oa]\w*|e o|e a|o|contate|contatar|contactar|contacte|tratar com|responsavel"
    r"|rivolg\w+ a|rivolg\w+|scriv\w+ a|scriver\w*|parl\w+ con|sentire|senta|chied\w+ a|inoltr\w+ a|girat\w+ a|giro a|passo a|collega|referente|metto|sostitui\w*|prenoti una call con|c'e|segue"
    r"|bij|met|aan|naar|collega|neem .{0,20}contact op met|vraag|mail|bel|zet|doorgestuurd|doorgezet|gegeven|vervang\w*|is|van"
    r"|hos|hor av|till|med|kollega|fraga|prata med|mejla|ring|kopierar|lagger till|det ar|skickat|vidare"
    r"|z|ze|do|od|prosze|kolega|kolezanka|zastepuje(?: mnie)?|zastepc\w+|przejal|przejela|przekazal\w*|dodaje|kieruj\w*|rzadzi|pisac do|pytac|u|odpowiada|zajmuje sie|decyduje|jest)"
    r"[\s:,(–—-]*(?:(?:my|our|the|meine[nrms]?|unsere[nrms]?|ma|mon|notre|nos|nuestr[oa]|mi|al|la|el|o|a|il|il mio|la mia|mio|mia|mijn|onze|min|var|moj\w*|nasz\w*|dem|den|der|die|das|de|het|colleague|boss|manager|coo|cto|ceo|cfo|cio|head|"  # noqa: RUF001
    r"kollegen?|kollegin|collegue|colega|companer[oa]|collega|kollega|kolegi|kolezanki|kolega|kolezanka|in|to|on|von|pan\w*|ingenier[oa])\s+){0,3}$"
)
_STRONG: Final = re.compile(
    r"(?:contact|talk to|speak|write to|reach|cc|copy|copied|loop|add|pass|forward|sent|hand|liaise|coordinate|refer|direct|wenden|kolleg|vertret|nachfolg|ansprech|ubernimmt|weitergel|aupres|contact|ecri|adress|voyez|mets|transmi|transf"
    r"|escrib|dirij|dirig|comuni|copio|paso|reenv|fal|encamin|procur|rivolg|scriv|parl|inoltr|gir|passo|contatt|metto|neem|vraag|doorge|kopier|fraga|prata|mejla|kontakt|zastep|przej|przek|dodaj|kieruj|sostitu|vervang|ask|try|c'est|adding|tagging|it's|that's|that'd)"
)
_AFTER: Final = re.compile(
    r"^[\s,]*(?:\([^)]{0,60}\)[\s,]*)?(?:(?:from|in|at|on|of|our|de|da|del|von|aus|im|vom|uit|van|pa|fran|z|ze|w|i|i|head|the|het)\s[^.;!?\n]{0,40}?)?(?:who |der |die |das |qui |que |che |quien |wie |som |ktor[yae] |she'?s |he'?s |she |he |they |hij |zij |han |hon |elle |il )?"
    r"(?:'s\s+(?:the|your|our|covering|picking|in|on|got)|(?:is|was|are)\s+(?:the|your|our|covering|minding|handling|looking|running|responsible|in charge|standing|taking|product|now|who)|runs?|owns?|handles?|manages?|leads?|does|covers?|decides?|looks after|takes?|took|buys|signs|has (?:the|been|taken|my)|will (?:help|assist|take|get|be|look|handle|contact|reach)|over to you|can help|one for you|worth a look|over to|knows"
    r"|kummert|ist (?:zustandig|dafur|ihr|der|die|bei)|leitet|ubernimmt|macht|entscheidet|verantwort|betreut|vertritt|liest hier|meldet|hilft|wird sich|steht"
    r"|s'occupe|gere|pilote|decide|est (?:en charge|responsable|votre|la|le)|prend|assure|choisit|reprend|dirige|vous|qui"
    r"|lleva|maneja|se encarga|es (?:quien|el|la)|decide|ve |quedo a cargo|gestiona|coordina|esta a cargo|le |les |se ocupa|atiende"
    r"|cuida|responde|e (?:quem|o|a|responsavel)|trata|toca|gere|assume|assumiu|segue|decide|vai|esta"
    r"|si occupa|gestisce|segue|e (?:il|la|responsabile)|decide|sara|tiene|cura|vi "
    r"|regelt|doet|gaat over|beslist|beheert|neemt|is (?:de|verantwoordelijk|product|degene)|vervangt|helpt|kan je|kan u"
    r"|ansvarar|skoter|har hand|beslutar|bestammer|tar |ar (?:ansvarig|den|ratt|var)|hjalper|koper|leder"
    r"|zajmuje|odpowiada|decyduje|prowadzi|zastepuje|jest (?:odpowiedzial|osoba|wlascic)|przejmuje|przejal|powinna?|ogarnia|pomoze|udzieli)"
)
_GONE: Final = re.compile(r"^[\s,]*(?:has |have |is |ist |a |ha |is |har )?(?:retired|left|no longer|moved|nicht mehr|ausgeschieden|does not|doesn't|ya no|ja nao|non lavora|ne travaille|werkt niet|slutat|nie pracuje|n'est plus|departed|wrote|schrieb|a ecrit)")
_SELF: Final = re.compile(r"(?:my name is|i am|i'm|this is|ich bin|je suis|soy|aqui|sou|sono|ik ben|jag ar|jestem|it's|hier ist|hier|mein name ist|office of|habla|fala|buro von|buero von|hi|hello|hey|hallo|hej|hoi|dear|hola|ola|oi|ciao|bonjour|salut|liebe[rs]?|beste|geachte|buongiorno|buonasera|gentile|estimad[oa]s?|querid[oa]s?|prezad[oa]s?|car[oa]s?|cher|chere|moin|servus|gruss gott|guten tag|guten morgen|dzien dobry|czesc|szanown[aey]|witam|witaj|panie|bom dia|boa tarde|boa noite|buenos dias|buenas(?: tardes)?|thanks|thank you|thx|cheers|danke|merci|gracias|obrigad[oa]|grazie|tack|bedankt|dank|dzieki|dziekuje|morning|afternoon|evening|goedemorgen|goedemiddag|sehr geehrter?|geehrter?|regards|grusse|bien a vous|cordialement|saludos|abraco|saluti|groet\w*|halsningar|pozdrawiam|vh|mvh|lg|vg|mfg|mate|g'day|howya|so|no)[\s,!.:;–-]*(?:(?:herrn?|frau|mr|ms|mrs|monsieur|madame|sig|sr|sra|don|dona|dr|pani?e?|tu|und|and)\.?\s+)*$")  # noqa: RUF001
_COMMON: Final = frozenset(
    (
        "i we you he she it they the a an this that these those my our your no not yes ok okay thanks thank please sorry hi hello hey dear best regards kind cheers sincerely but and or so if when what who why how where there here"
        " for from with in on at to of as by is are was be do does did can could would will should may might just also only all any some more most now then than let lets try send call email mail contact ask see ps re fw fwd"
        " monday tuesday wednesday thursday friday saturday sunday january february march april june july august september october november december q1 q2 q3 q4 ceo cto cfo coo cio cmo hr it pr vp svp md crm erp api sdr pdf usa uk eu us linkedin teams zoom google outlook"
        " ich wir sie er es ihr du der die das den dem ein eine mein unser bitte danke hallo liebe lieber sehr geehrte geehrter guten tag mit freundlichen grussen gruss grusse viele beste und oder aber nicht kein wenn dann fur bei von vom zum zur im am an auf aus nach uber ja nein dringende urlaub mail mails email e-mail frau herr herrn vertretung kollegin kollege"
        " je nous vous il elle on le la les un une des du de et ou mais pour par avec sans dans sur ce cette c'est bonjour merci cordialement bien salut madame monsieur en au aux pas oui non"
        " yo nosotros usted ustedes el ella lo los las un una y o pero para por con sin en de del al hola gracias saludos buenos buenas dias tardes cordial estimado estimada si no senor senora favor"
        " eu nos voce voces ele ela os as um uma e ou mas ola oi obrigado obrigada bom boa dia tarde noite prezado prezada sim nao att atenciosamente abraco cordialmente"
        " io noi lei lui gli una e o ma per con in di da buongiorno grazie salve ciao cordiali saluti gentile distinti si"
        " ik wij u hij zij het een en of maar voor met in op van aan bij dag hallo beste dank groet groeten vriendelijke ja nee"
        " jag vi ni han hon det en ett och eller men for med i pa av hej tack halsningar vanliga nej"
        " ja my pan pani on ona to i lub ale dla z w na od do dzien dobry dziekuje pozdrawiam prosze nie tak witam szanowny szanowna"
        " automatic reply auto out office message mailbox team support sales office reception finance procurement marketing operations legal security sent iphone subject date gmbh ag sa srl ltd inc llc bv ab sp spolka"
    ).split()
)


class Referred(NamedTuple):
    """The person and the address that a reply names for the matter; either may be None."""

    name: str | None
    email: str | None


class _Address(NamedTuple):
    start: int
    end: int
    email: str


def unquoted(text: str) -> str:
    """The text up to its quoted thread, or all of it where nothing stands before one."""
    match = _QUOTE.search(fold(text))
    return text[: match.start()] if match and text[: match.start()].strip() else text


def referred(text: str, language: str, intent: str) -> Referred:
    """Whom and where to write instead: for referrals and automatic replies, else nobody."""
    if intent not in {"referral", "out_of_office"}:
        return Referred(None, None)
    text = unquoted(text[:MOST_CHARACTERS])
    folded = fold(text)
    addresses = [_Address(m.start(), m.end(), _plain(m[0])) for m in _ADDRESS.finditer(text)]
    address = _best_address(folded, addresses, intent)
    if language in {"ja", "zh"}:
        name = find_cjk_name(folded, text, language, intent)
        if name is None and re.search(r"[A-Za-z]{3} [A-Z]", text):
            name = _best_name(folded, text, addresses, address, language, intent)
    else:
        name = _best_name(folded, text, addresses, address, language, intent)
    return Referred(name, address.email if address else None)


def _plain(written: str) -> str:
    return _DOT.sub(".", _AT.sub("@", written)).lower().rstrip(".-_")


_NOT_THERE: Final = re.compile(
    r"(?:your (?:message|e?mail|note) (?:to|for)|to the address|message to|deliver\w* to|mailbox|postfach|boite|buzon|casella|skrzynk\w+|mejl till|meddelande .{0,30}till|messaggio per|mensagem para|mensaje (?:a|para)|bericht aan|an die adresse|wiadomosc do|from|sender list of|the address|adressen|levererades inte till|recipient|destinatario|empfanger|an)\s*:?\s*[<\"']?$"
)
_NOT_THERE_AFTER: Final = re.compile(
    r"^[>\"')]*\s*(?:has been|is (?:full|no longer|not|retired|closed|over)|could not|was not|wurde nicht|konnte nicht|ist (?:voll|nicht)|n'a pas|no pudo|nao pode|non e stato|hålls|halls|kunde inte|nie zostal|er i ko|esta (?:lleno|llena)|e in attesa|will be (?:closed|deleted)|because|since)"
)
_TELL: Final = re.compile(r"(?:contact|write|send|direct|mail|email|reach|enquir|inquir|urgent|kontakt|wenden|richten|schreib|dringend|erreichen|ecri|contact|adress|joindre|urgent|escrib|dirig|dirij|comuni|urgen|fale|escrev|envi|encaminh|direcion|scriv|rivolg|urgen|mail|stuur|richt|dringend|kontakta|skicka|mejla|bradskande|kierow|kontakt|pisz|pilne|pilnych|zakup|at|on|:|-|\(|,|to|till|an|a|para|naar|do)\W*(?:\w+\W+){0,3}$")


def _best_address(folded: str, addresses: list[_Address], intent: str) -> _Address | None:
    """The address that is named for the matter, not one that is gone, full, or the machine's own."""
    best, best_points = None, 0.0
    for place, one in enumerate(addresses):
        if _NOT_A_PERSON.match(one.email):
            continue
        before, after = folded[max(0, one.start - 60) : one.start], folded[one.end : one.end + 40]
        points = 2.0 - 0.01 * place
        if _TELL.search(before):
            points += 1
        gone = _NOT_THERE_AFTER.match(after) or (intent == "out_of_office" and re.search(r"(?:mailer-daemon|550|5\.\d\.\d|undeliver|unzustell|non remis|nicht zugestellt|no se pudo entregar|could not be delivered|delivery)", folded))
        if gone or (intent == "out_of_office" and _NOT_THERE.search(before) and not re.search(r"(?:wenden|richten|schreib|mail|e-mail|anfragen|bitte)\w*\W+(?:\w+\W+){0,4}an\W*$", before)):
            points -= 3
        line_start = folded.rfind("\n", 0, one.start) + 1
        if intent == "referral" and re.match(r"^(?:e-?mail|mail|m|e|t)?\s?[:.]?\s*$", folded[line_start : one.start]) and re.search(r"(?:regards|gruss|cordial|saludos|saluti|groet|pozdraw|abraco|halsning|\d{3}[ -]\d{3})", folded[:line_start]):
            points -= 2.5
        if points > best_points:
            best, best_points = one, points
    return best


def _best_name(folded: str, text: str, addresses: list[_Address], address: _Address | None, language: str, intent: str) -> str | None:
    """The name with the most words around it that point to somebody, or None."""
    best, best_points = None, 2.9 if intent == "out_of_office" else 1.9
    sign_off = _signature_start(text)
    for match in _NAME.finditer(text):
        found = _candidate(folded, text, match, language)
        if found is None:
            continue
        start, end, name, titled = found
        if any(one.start <= start < one.end for one in addresses):
            continue
        points = _name_points(folded, text, start, end, titled=titled, language=language)
        points += _address_points(folded, name, end, address)
        if start >= sign_off and points < 6:
            points -= 4
        points += 0.5 * (" " in name) - start / 20_000
        if points > best_points:
            best, best_points = name, points
    return best


def _candidate(folded: str, text: str, match: re.Match[str], language: str) -> tuple[int, int, str, bool] | None:
    """Start, end and words of a name, with its title, or None for what is no name."""
    start, end = match.span()
    words = text[start:end].split(" ")
    while words and (not words[0][:1].isupper() or fold(words[0]).strip("'’") in _COMMON or (len(words[0]) < 2) or (words[0].isupper() and len(words[0]) > 4)):  # noqa: RUF001
        start += len(words[0]) + 1
        words = words[1:]
    while words and (not words[-1][:1].isupper() or fold(words[-1]) in _COMMON):
        words = words[:-1]
    if not words or len(words) > 5:
        return None
    name = " ".join(words).removesuffix("'s").removesuffix("’s")  # noqa: RUF001
    title = _TITLE.search(folded[max(0, start - 24) : start])
    if title is None:
        one_noun = language == "de" and len(words) == 1
        return None if one_noun and not _STRONG.search(folded[max(0, start - 30) : start]) else (start, start + len(name), name, False)
    end = start + len(name)
    if _KEPT_TITLES.match(title[1]):
        return start, end, name, True
    begin = max(0, start - 24) + title.start(1)
    return begin, end, text[begin:end], True


def _name_points(folded: str, text: str, start: int, end: int, *, titled: bool, language: str) -> float:
    before, after = folded[max(0, start - 60) : start], folded[end : end + 60]
    points = 2.0 * titled
    if cue := _CUE.search(before):
        points += 3.0 if _STRONG.match(cue[0]) else 1.5
    if _AFTER.match(after):
        points += 3.0
    if _GONE.match(after):
        points -= 6.0
    if _SELF.search(before) and not cue:
        points -= 6.0
    sentence_start = not before.strip() or before.rstrip()[-1:] in ".!?:\n"
    if sentence_start and points <= 0 and " " not in text[start:end]:
        points -= 1.0
    if language == "de" and " " not in text[start:end] and not titled:
        points -= 1.0
    return points


def _address_points(folded: str, name: str, end: int, address: _Address | None) -> float:
    """What an address beside the name, or made of the name, adds."""
    if address is None:
        return 0.0
    points = 3.0 if 0 <= address.start - end < 8 else 0.0
    local = re.sub(r"[^a-z]", " ", address.email.split("@")[0])
    tokens = [t for t in re.findall(r"[a-z]{3,}", fold(name)) if t not in _COMMON]
    if any(t in local.replace(" ", "") for t in tokens):
        points += 3.0
    del folded
    return points


_SIGN_OFF: Final = re.compile(
    r"(?:^|\n|[.!?]\s)\W*(?:kind(?:est)? regards|best regards|regards|best wishes|warm(?:est)? regards|sincerely|cheers|mit freundlichen gruss?en|freundliche gruss?e|viele gruss?e|beste gruss?e|gruss|lg|vg|mfg|cordialement|bien a vous|saludos|un saludo|atentamente|cordial saludo(?=,?\n)|abraco|att|atenciosamente|cumprimentos|cordiali saluti|saluti|met vriendelijke groet|groet(?:en|jes)?|mvh|vanliga halsningar|med vanliga halsningar|halsningar|pozdrawiam|z powazaniem|kind rgds|rgds|br|best)\b[^\n]{0,30}(?:\n|$)"
)


def _signature_start(text: str) -> int:
    """Where the writer signs off: after the words of parting, or at a last line that is only a name."""
    folded = fold(text)
    match = None
    for match in _SIGN_OFF.finditer(folded):  # noqa: B007  # the last one
        pass
    if match is not None and match.start() > 0:
        return match.start()
    last = text.rstrip().rfind("\n")
    return last + 1 if last > 0 and len(text.rstrip()) - last < 40 and "@" not in text[last:] else len(text)
