"""How mail clients introduce the message that is answered or forwarded, in nineteen languages.

The words are those of Outlook, Gmail, Apple Mail, Thunderbird, Yahoo, Samsung Mail, Notes, QQ and Naver in their
translations: English, German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Danish, Norwegian, Finnish, Polish,
Czech, Turkish, Hungarian, Russian, Japanese, Chinese (both scripts), Korean.
"""

from typing import Final

_LABELS: Final = {
    "from": """from|von|de|expéditeur|expediteur|remitente|remetente|da|mittente|van|afzender|från|avsändare|fra|afsender
        |avsender|lähettäjä|od|nadawca|odesílatel|kimden|gönderen|feladó|от|от кого|отправитель|差出人|送信者|送信元|发件人
        |发信人|寄件者|寄件人|發件人|发送人|보낸 사람|보낸사람""",
    "date": """sent|date|sent at|received|gesendet|gesendet am|datum|envoyé|envoyé le|envoye|enviado|enviado el|enviada
        |enviado em|enviada em|enviado a|fecha|data|inviato|data invio|inviata|verzonden|verstuurd|skickat|datum och tid
        |sendt|dato|lähetetty|päivämäärä|päiväys|pvm|wysłano|wysłane|data wysłania|odesláno|posláno|datum odeslání
        |gönderildi|gönderilen|gönderme tarihi|gönderilme tarihi|tarih|elküldve|dátum|отправлено|дата|送信日時|日時|送信日
        |发送时间|发送日期|日期|时间|時間|寄件日期|傳送時間|發送時間|發送日期|傳送日期|寄件時間|보낸 날짜|보낸날짜|날짜|일시""",
    "to": """to|an|à|pour|destinataire|para|destinatario|destinatário|a|per|aan|ontvanger|till|mottagare|til|modtager
        |mottaker|vastaanottaja|do|adresat|komu|příjemce|kime|alıcı|címzett|кому|получатель|宛先|送信先|收件人|收件者|收信人
        |받는 사람|받는사람""",
    "subject": """subject|re|fw|fwd|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|ämne|emne|aihe|temat|předmět|konu|tárgy
        |тема|件名|主题|主旨|主題|标题|題目|제목""",
    "other": """cc|bcc|cci|cco|ccn|kopie|kopia|copie|copie à|copia|copia a|con copia|cópia|com cópia|dw|udw|do wiadomości
        |kopi|kopio|bilgi|másolat|копия|抄送|副本|密件抄送|참조|숨은참조|reply-to|reply to|antwort an|répondre à
        |importance|priority|priorität|wichtigkeit|importancia|prioridad|importância|priorità|prioriteit|prioritet
        |attachments|anlagen|anhänge|pièces jointes|adjuntos|datos adjuntos|anexos|allegati|bijlagen|bilagor|załączniki
        |添付ファイル|附件|categories|organization|organisation|重要度|优先级""",
}
LABELS: Final[dict[str, str]] = {
    label: kind for kind, words in _LABELS.items() for label in (w.strip() for w in words.split("|"))
}
"""A label of a header in lower case -> what it names: from, date, to, subject, other."""

_SEPARATORS: Final = """original message|original email|original e-mail|forwarded message|forwarded email
    |begin forwarded message|start of forwarded message|original appointment|reply message|forwarded by|message history
    |ursprüngliche nachricht|originalnachricht|original-nachricht|original nachricht|ursprüngliche mail
    |ursprüngliche e-mail|weitergeleitete nachricht|weitergeleitete e-mail|anfang der weitergeleiteten nachricht
    |anfang der weitergeleiteten e-mail|ursprünglicher termin|urspr. nachricht
    |message d'origine|message original|message initial|courriel original|message transféré|message transmis
    |courriel transféré|début du message transféré|début du message réexpédié|e-mail d'origine|mail d'origine
    |mensaje original|correo original|mensaje reenviado|mensaje transferido|inicio del mensaje reenviado
    |mensaje originial|correo reenviado
    |mensagem original|e-mail original|mensagem encaminhada|mensagem reencaminhada|início da mensagem reencaminhada
    |início da mensagem encaminhada|início de mensagem encaminhada|inicio da mensagem reencaminhada
    |messaggio originale|messaggio inoltrato|messaggio reindirizzato|inizio messaggio inoltrato
    |inizio del messaggio inoltrato|e-mail originale
    |oorspronkelijk bericht|origineel bericht|oorspronkelijke bericht|doorgestuurd bericht|begin doorgestuurd bericht
    |doorgestuurde bericht|oorspronkelijke e-mail
    |ursprungligt meddelande|originalmeddelande|vidarebefordrat meddelande|vidarebefordrat brev
    |vidarebefordrat mejl|ursprungligt mejl|påbörja vidarebefordrat meddelande|börja på vidarebefordrat meddelande
    |oprindelig meddelelse|originalmeddelelse|videresendt meddelelse|videresendt besked|oprindelig besked
    |oprindelig mail|start på videresendt besked|opprinnelig melding|original melding|videresendt melding
    |begynnelse på videresendt melding|alkuperäinen viesti|välitetty viesti|edelleenlähetetty viesti
    |välitetty viesti alkaa
    |wiadomość oryginalna|oryginalna wiadomość|wiadomość pierwotna|wiadomość przekazana|przekazana wiadomość
    |wiadomość przekazana dalej|początek przekazywanej wiadomości|początek przekazanej wiadomości
    |oryginalny list|treść oryginalnej wiadomości
    |původní zpráva|přeposlaná zpráva|původní e-mail|začátek přeposlané zprávy
    |orijinal mesaj|özgün ileti|orijinal ileti|iletilen mesaj|yönlendirilmiş mesaj|iletilmiş ileti|forwardlanan mesaj
    |iletilen ileti başlangıcı|eredeti üzenet|továbbított üzenet|исходное сообщение|пересылаемое сообщение
    |пересланное сообщение|начало переадресованного сообщения
    |元のメッセージ|元のメール|転送メッセージ|転送されたメッセージ|転送されたメール|オリジナルメッセージ|引用元
    |転送メール|original message 元のメッセージ
    |原始邮件|原邮件|原始郵件|原始信件|原信|转发邮件|转发的邮件|转发邮件信息|转发的消息|轉寄郵件|轉寄的郵件|轉寄訊息
    |轉寄的訊息|已转发邮件|已转发的邮件|回复的原邮件|邮件原件|原始訊息|原始消息|转发消息|开始转发邮件|開始轉寄郵件
    |下面是被转发的邮件|原文|회신 메시지|원본 메시지|전달된 메시지|원본 메일|----- 원본 메시지"""
SEPARATORS: Final[frozenset[str]] = frozenset(s.strip() for s in _SEPARATORS.split("|"))
"""What stands between dashes above the message that is answered or forwarded, in lower case."""

VERBS: Final = (
    "wrote|writes|written by|schrieb|geschrieben|hat geschrieben|a écrit|a ecrit|écrivait|ecrit|écrit|escribió|escribio"
    "|escribieron|ha escrito|escreveu|escreveram|ha scritto|scrive|scriveva|schreef|geschreven|het volgende geschreven"
    "|skrev|skrivit|har skrevet|kirjoitti|pisze|napisał|napisała|napisał\\(a\\)|napisali|napsal|napsala|napsal\\(a\\)"
    "|yazdı|şunları yazdı|şunu yazdı|írta|ezt írta|написал|написала|написал\\(а\\)|пишет|さんは書きました|は書きました"
    "|書きました|が書いた|のメール|のメッセージ|wrote|写道|寫道|编写|撰寫|来信|님이 작성|작성|님이 쓴 글"
)
"""Words by which the line above a quotation says that somebody wrote, as alternatives of a pattern."""
