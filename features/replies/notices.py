"""Which lines of a mail are no person's words: disclaimers, banners of outside mail, invitations, images and pixels.

A paragraph is a disclaimer when it names the message, and says that it is confidential or what a wrong recipient must do;
one of these alone is a sentence that a person may write.
"""

import re
from itertools import pairwise
from typing import Final

_MOST_LOOKED_AT: Final = 1_500
"""Characters of a paragraph that are looked at: disclaimers say what they are in their first sentences."""

_MESSAGE: Final = re.compile(
    r"(?:this|the information (?:contained )?in this|the contents? of this|any) (?:e-?mail|electronic mail|message"
    r"|communication|transmission)|this information is intended|e-?mail (?:message )?(?:and|or) any (?:attach|files)"
    r"|(?:diese|der inhalt dieser|die in dieser) (?:e-?mail|nachricht|mail|mitteilung)|dieses (?:e-?mail|mail|dokument)"
    r"|(?:ce|cet|le présent|du présent) (?:message|e-?mail|courriel|courrier)|(?:contenues? dans|pièces? jointes?)"
    r"|(?:este|el presente|la información contenida en este) (?:mensaje|correo|e-?mail|documento|comunicad)"
    r"|esta (?:mensagem|comunicação|comunicación)|este (?:e-?mail|documento) |(?:a|as) informaç(?:ão|ões) contidas?"
    r"|(?:questo|il presente|del presente|il contenuto di quest[oa]) ?(?:messaggio|e-?mail|documento|comunicazione)"
    r"|quest[ao] (?:e-?mail|comunicazione)|(?:le informazioni (?:contenute|trasmesse))|presente messaggio|presente e-?mail"
    r"|(?:dit|de informatie in dit|de inhoud van dit) (?:bericht|e-?mail)|deze (?:e-?mail|mail)|dit e-?mailbericht"
    r"|(?:detta|det här) (?:e-?post|meddelande|mejl|mail|e-?brev)|denne (?:e-?mail|e-?post|mail|meddelelse|besked)"
    r"|(?:niniejsza|ta|tej|treść niniejszej|treść tej) (?:wiadomoś|korespondencj)|niniejszy (?:e-?mail|przekaz)"
    r"|tämä (?:viesti|sähköposti)|tato (?:zpráva|e-?mail)|tento e-?mail|bu (?:e-?posta|mesaj|ileti)"
    r"|(?:本|この|当)(?:メール|電子メール|eメール|e-?mail|メッセージ|通信)|(?:本|此|该)(?:电子)?(?:邮件|郵件|信件|电邮|電郵)"
    r"|本電子郵件|此電子郵件|이 (?:메일|메시지|전자우편)",
    re.IGNORECASE,
)
_SECRET: Final = re.compile(
    r"confidential|privileged|proprietary|vertraulich|rechtlich geschützt|confidentiel|protégées? par|secret professionnel"
    r"|confidencial|secreto profesional|privilegiad|confidenciais|sigilos|riservat|confidenzial|vertrouwelijk"
    r"|konfidentiel|sekretess|fortrolig|taushetsplikt|luottamuksell|poufn|tajemnic|důvěrn|gizli|機密|秘密|保密|机密"
    r"|親展|기밀|vertrouwd",
    re.IGNORECASE,
)
_WRONG_READER: Final = re.compile(
    r"intended (?:recipient|addressee|only for|solely for|for the)|(?:received|receive) (?:this|it)[^.]{0,30} in error"
    r"|solely for the (?:use|addressee|attention)|named (?:addressee|recipient)|unauthori[sz]ed (?:use|review|disclos|copy)"
    r"|(?:strictly|is) prohibited|virus"
    r"|nicht der (?:richtige|beabsichtigte|vorgesehene) (?:adressat|empfänger)|irrtümlich (?:erhalten|zugesandt)"
    r"|versehentlich erhalten|unbefugte|unerlaubte|nur für den (?:adressat|empfänger)"
    r"|ausschließlich für den (?:adressat|empfänger|oben)|vernichten sie|rechtsverbindlich"
    r"|destinataires? (?:prévu|désigné|exclusi)|n'êtes pas le (?:bon )?destinataire|par erreur|toute (?:utilisation"
    r"|diffusion|reproduction)|usage exclusif|à l'attention exclusive|destinés? exclusivement|exclusivement destiné"
    r"|usted no es el destinatario|no es el destinatario|por error|destinatario (?:indicado|previsto|final)"
    r"|exclusivamente (?:a|para|al|ao|dirigid)|queda prohibid|prohibida|única y exclusivamente"
    r"|não (?:é|seja|for) o (?:seu )?destinatário|por engano|recebido (?:esta )?[^.]{0,20}(?:erro|engano)|proibid"
    r"|uso exclusivo|não autorizad"
    r"|non (?:è|siete|siate|fosse|foste) il (?:corretto )?destinatari|per errore|ricevuto (?:questo|la presente)[^.]{0,40}"
    r"errore|esclusivamente (?:a|al|per|ai)|destinatari[oi] (?:indicat|sopra)|vietat"
    r"|niet de (?:bedoelde )?(?:geadresseerde|ontvanger)|(?:uitsluitend|alleen) bestemd voor|abusievelijk|ten onrechte"
    r"|onbedoeld|per vergissing|niet voor u bestemd|rechten worden ontleend"
    r"|(?:avsedda?|rätta?) mottagare|av misstag|enbart avsed|endast avsed|tilltänkta mottagaren|ved en fejl|ved en feil"
    r"|(?:nie jest|nie są) (?:zamierzonym )?(?:adresatem|państwo adresat|pan)|nie (?:jest|są) [^.]{0,20}adresat"
    r"|(?:przez|omyłkow|pomyłk)|wyłącznie (?:do|dla)|zabronion|erheblich|virheellisesti|omylem|yanlışlıkla"
    r"|(?:お心当たり|心当たりのない|誤って|誤送信|宛先以外|受信者以外|名宛人|意図された)|破棄|削除(?:し|の上|を)"
    r"|(?:误收|誤收|错误地收到|非(?:指定|预期|預定|预定)(?:的)?收件人|指定收件人|不是(?:本邮件|预定|指定)|收件人以外|立即(?:删除|刪除|通知)"
    r"|请勿(?:复制|披露|传播)|禁止(?:复制|披露|传播|任何))|수신인이 아",
    re.IGNORECASE,
)
_HEADING: Final = re.compile(
    r"[\s*_#\[(-]*(?:confidentiality (?:notice|note|statement|warning)|(?:legal |e-?mail |email )?disclaimer"
    r"|privileged (?:and|&) confidential|private (?:and|&) confidential|notice of confidentiality|legal notice"
    r"|privacy notice|important notice|vertraulichkeits(?:hinweis|erklärung)|rechtlicher hinweis|haftungsausschluss"
    r"|wichtiger hinweis|datenschutzhinweis|avis de confidentialité|clause de confidentialité|avertissement"
    r"|avis (?:légal|important)|mentions? légales?|aviso (?:legal|de confidencialidad|de confidencialidade"
    r"|de privacidad|de privacidade)|cláusula de confidencialidad|nota (?:legal|de confidencialidad)"
    r"|confidencialidad(?:e)?|avviso (?:legale|di riservatezza)|nota di riservatezza|riservatezza"
    r"|informativa (?:privacy|sulla privacy)|avvertenze? (?:ai sensi|legali)|vertrouwelijkheids(?:clausule|verklaring)"
    r"|proclaimer|sekretess(?:meddelande)?|ansvarsfriskrivning|konfidentialitet|klauzula (?:poufności|informacyjna)"
    r"|informacja o poufności|zastrzeżenie(?: prawne)?|upozornění|免責事項|機密保持|【?(?:重要|ご注意|注意)】?"
    r"|保密(?:声明|聲明|提示)|免责声明|免責聲明|法律声明)\s*[\])*_]*\s*(?:[:：.–—-]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_PRINTING: Final = re.compile(
    r"(?:consider|think (?:about|of) |care (?:for|about) |save )(?: ?our| ?the)? ?(?:environment|planet|trees?|paper)[^.\n]{0,80}"
    r"print|before (?:you )?print(?:ing)? (?:this|the)|think before you print|do you really need to print|please don't print"
    r"|denken sie an die umwelt|bevor sie diese (?:e-?)?mail (?:aus)?drucken|muss diese (?:e-?)?mail (?:wirklich )?(?:aus)?ge"
    r"|pensez à l'environnement|avant d'imprimer|n'imprim(?:ez|er)|(?:antes de|evite) imprimir|piense en el medio"
    r"|no imprima este|pense no (?:meio )?ambiente|pense antes de imprimir|prima di stampare|non stampare"
    r"|pensa all'ambiente|rispetta l'ambiente|denk aan het milieu|(?:voordat|vóór|voor) u (?:dit|deze) [^.\n]{0,30}print"
    r"|tänk på miljön|innan du skriver ut|pomyśl (?:o środowisku|zanim wydrukujesz)|zanim wydrukujesz"
    r"|印刷する前に|環境保護のため|打印(?:本邮件|此邮件)?前|(?:保护|保護|爱护|愛護)环境|列印前|環保",
    re.IGNORECASE,
)
_REGISTER: Final = re.compile(
    r"registered (?:in|office|number)|company (?:no|number|reg)|vat (?:no|reg|number)|(?:amts|handels|register)gericht"
    r"|\bhr[ab] ?\d|geschäftsführ(?:er|ung|erin)\b.{0,20}:|ust-?id|sitz der gesellschaft|vorstand:|aufsichtsrat"
    r"|\brcs [a-z]|\bsiret\b|au capital de|capital social|reg(?:istro)? mercantil|\bc\.?i\.?f\.?:? ?[a-z]\d"
    r"|cnpj|partita iva|p\. ?iva|\brea\b|kvk|btw-?n|org\.? ?n(?:r|umme)|organisationsnummer|\bkrs\b|\bregon\b|\bnip\b",
    re.IGNORECASE,
)
_BANNER: Final = re.compile(
    r"[\s*\[(<【|!⚠️-]*(?:(?:external|extern|externe?s?|externo|externa|esterno|zewnętrzn[ay]|externí|外部|社外)"
    r"(?: (?:e-?mail|sender|message|mail|absender|nachricht|expéditeur|remitente|remetente|mittente|avsändare|nadawca))?"
    r"(?:メール|邮件|郵件|送信者)?\s*[\])>】|!:*-]+\s*|(?:external|extern[ea]?|外部)(?: e-?mail| sender| mail)?\s*$)",
    re.IGNORECASE,
)
"""A tag of outside mail at the beginning of a line, or a line of its own."""
_OUTSIDE: Final = re.compile(
    r"(?:originat|sent|came|comes|received|is) (?:ed )?from (?:an? )?(?:outside|external)|from outside (?:of )?(?:your|the|our)"
    r"|originated (?:from )?outside|(?:caution|warning|attention|notice)[:! ]+[^\n]{0,30}external (?:e-?mail|sender|message)"
    r"|you don'?t often (?:get|receive) e-?mail from|learn why this is important|do not click (?:on )?(?:any )?links"
    r"|do not click links or open attachments|this sender is (?:not verified|from outside)|some people who received this"
    r"|(?:stammt|kommt|kam|wurde)[^\n]{0,30} (?:von (?:extern|außerhalb)|einem externen|einer externen)|externe[rn]? absender"
    r"|sie erhalten nicht (?:häufig|oft)|klicken sie (?:nicht )?auf (?:keine )?links|von außerhalb (?:der|ihrer|unserer)"
    r"|(?:provient|envoyé|émane)[^\n]{0,40}(?:l'extérieur|externe)|vous (?:ne )?recevez (?:pas|rarement|peu)[^\n]{0,20}souvent"
    r"|vous n'obtenez pas souvent|découvrez pourquoi (?:cela|ceci) est important|ne cliquez pas sur"
    r"|(?:proviene|procede|originad|enviado)[^\n]{0,40}(?:fuera de (?:la|su|nuestra)|externo|extern[ao])"
    r"|no suele recibir correo|(?:por qué|porque) es(?:to)? (?:es )?importante|no haga clic|origem externa|fora da organização"
    r"|remetente externo|não costuma receber|não clique em|proviene (?:da(?:ll'esterno)?|dall')|(?:mittente|origine) estern"
    r"|dall'esterno dell|non si ricevono spesso|non (?:fare|cliccare)[^\n]{0,10}(?:clic|su)|van buiten (?:de|onze|uw)"
    r"|externe afzender|u ontvangt niet vaak|klik niet op|(?:extern avsändare|utanför (?:organisationen|företaget|din))"
    r"|du får inte ofta|klicka inte på|(?:z zewnątrz|spoza|zewnętrznego nadawcy|nadawca zewnętrzny)|nie klikaj"
    r"|nie otrzymujesz często|社外から|外部(?:から|の送信者|组织|組織|发件人|寄件者|邮件)"
    r"|组织外部|組織外部|来自(?:公司|组织|企业)?外部",
    re.IGNORECASE,
)
_INVITATION: Final = re.compile(
    r"(?:microsoft teams(?: (?:meeting|need help|besprechung|réunion|vergadering|möte))?|join (?:on your computer|with google"
    r"|zoom|the meeting|teams|meeting|microsoft)|(?:join|nehmen sie) [^\n]{0,40}(?:mobile app|meeting now|room device)"
    r"|(?:meeting|besprechungs?|réunion|reunión|reunião|riunione|vergader|mötes|spotkania)[- ]?(?:id|-id)[:：]"
    r"|id (?:de )?(?:la )?(?:réunion|reunión|reunião|riunione|spotkania)|passcode[:：]|kenncode[:：]|(?:one tap mobile)"
    r"|dial[- ]in (?:by|numbers?)|dial by your location|find (?:your )?local number|is inviting you to a scheduled zoom"
    r"|teilnehmen per|an der besprechung teilnehmen|rejoindre la réunion|unirse a la reunión|unirse con"
    r"|ingressar na reunião|entrar na reunião|partecipa alla riunione|deelnemen aan (?:de )?(?:vergadering|teams)"
    r"|delta i mötet|dołącz do (?:spotkania|rozmowy)|(?:会議に参加|ミーティングに参加|加入会议|加入會議|会议号|會議 ?id|会议 ?id)"
    r"|phone conference id|conference id|https://(?:[\w.-]{1,40}\.)?(?:zoom\.us|teams\.microsoft\.com|meet\.google\.com"
    r"|webex\.com)/\S*|learn more (?:about teams )?\| meeting options|for organizers:|video call link|more phone numbers"
    r"|(?:or dial|pin):? ?[+(]?[\d ()-]{6,})",
    re.IGNORECASE,
)
_IMAGE: Final = re.compile(
    r"[ *]*(?:[\[<(](?:cid:|image\b|inline image|inlinebild|bild\b|logo\b|imagen?\b|immagine|afbeelding|obraz|data:image"
    r"|画像|图片|圖片|https?://[^\s<>\[\]]{1,400}(?:\.(?:gif|png|jpe?g|svg)|/(?:open|track|pixel|o|wf)\b)[^\s<>\[\]]{0,600})"
    r"[^\[\]<>]{0,300}[\])>](?:<https?://[^\s<>]{1,800}>)?[ *]*)+"
)


def notice_lines(lines: list[str], open_lines: list[bool]) -> tuple[list[bool], list[bool]]:
    """For each line whether it is a notice (disclaimer, banner, image), and whether it belongs to an invitation.

    Only lines that are true in `open_lines` are judged.
    """
    notice = [False] * len(lines)
    invitation = [False] * len(lines)
    first = True
    legal = False
    for start, end in paragraphs(lines, open_lines):
        whole = " ".join(lines[start:end])[:_MOST_LOOKED_AT].replace("’", "'")
        if (count := _banner_lines(lines, start, end, whole, first=first)) > 0:
            notice[start : start + count] = [True] * count
            continue
        first = False
        at = start + _disclaimer_start(lines[start:end], whole, after_legal=legal)
        if at < end:
            notice[at:end] = [True] * (end - at)
            legal = True
            continue
        for index in range(start, end):
            notice[index] = lines[index].lstrip()[:1] in ("[", "<", "(", "*") and bool(_IMAGE.fullmatch(lines[index]))
    _mark_invitations(lines, open_lines, invitation)
    return notice, invitation


def paragraphs(lines: list[str], open_lines: list[bool]) -> list[tuple[int, int]]:
    """First and last-but-one line of each run of lines that are open and not empty."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for at, line in enumerate(lines):
        if open_lines[at] and line.strip():
            start = at if start is None else start
        elif start is not None:
            found.append((start, at))
            start = None
    if start is not None:
        found.append((start, len(lines)))
    return found


def without_tag(line: str) -> tuple[str, str]:
    """A line's tag of outside mail, such as [EXTERNAL], and the rest of it."""
    found = _BANNER.match(line) if len(line) < _MOST_LOOKED_AT else None
    return (line[: found.end()].strip(), line[found.end() :]) if found else ("", line)


def _banner_lines(lines: list[str], start: int, end: int, whole: str, *, first: bool) -> int:
    """How many lines of a paragraph warn of outside mail."""
    if not _OUTSIDE.search(whole):
        return 0
    last = max(index for index in range(start, end) if _OUTSIDE.search(lines[index]) or index == start)
    warns = re.match(
        r"[\s*\[(⚠️!-]*(?:caution|warning|attention|achtung|avviso|atención|atenção|attenzione|let op|obs|uwaga)",
        whole,
        re.IGNORECASE,
    )
    if not first and not warns:
        return 0
    return last + 1 - start if last - start < 6 else 0


def _disclaimer_start(lines: list[str], whole: str, *, after_legal: bool) -> int:
    """The first line of a paragraph that belongs to a disclaimer; their number when none does."""
    if _HEADING.match(whole) or _is_legal(whole):
        if len(lines) == 1 or _is_legal(lines[0]) or _HEADING.match(lines[0]):
            return 0
        # A disclaimer may follow on a signature without an empty line: find the line where it begins.
        return next(
            (at for at, line in enumerate(lines) if at and _begins_legal(line)),
            0 if _begins_legal(lines[0]) else len(lines),
        )
    if _PRINTING.search(whole):
        return next((at for at, line in enumerate(lines) if _PRINTING.search(line)), len(lines))
    if after_legal and (_REGISTER.search(whole) or _SECRET.search(whole) or _WRONG_READER.search(whole)):
        return 0
    return len(lines)


def _is_legal(text: str) -> bool:
    if len(text) < 40:
        return False
    named = _MESSAGE.search(text)
    if named is None:
        return False
    wrong = _WRONG_READER.search(text)
    return wrong is not None and (_SECRET.search(text) is not None or (len(text) > 140 and named.start() < 60))


def _begins_legal(line: str) -> bool:
    found = _MESSAGE.search(line)
    return _HEADING.match(line) is not None or (found is not None and found.start() < 60)


def _mark_invitations(lines: list[str], open_lines: list[bool], invitation: list[bool]) -> None:
    """Marks blocks of lines that a meeting service wrote: at least two of its phrases within six lines."""
    hits = [at for at, line in enumerate(lines) if open_lines[at] and len(line) < 2000 and _INVITATION.search(line)]
    if len(hits) < 2 or len({_INVITATION.search(lines[at])[0].casefold() for at in hits}) < 2:  # type: ignore[index]
        return
    for before, after in pairwise(hits):
        between = lines[before + 1 : after]
        if after - before <= 6 and all(
            len(line) < 70 and not line.rstrip().endswith((".", "!", "?")) for line in between
        ):
            invitation[before : after + 1] = [True] * (after + 1 - before)
    for at in range(len(lines)):
        ruled = re.fullmatch(r" *[_.\-~:]{10,} *", lines[at]) is not None
        if ruled and any(invitation[max(0, at - 3) : at + 4]):
            invitation[at] = True
