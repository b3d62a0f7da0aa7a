"""How people end a mail, and what stands in signatures: closings, footers of apps, titles, legal forms, contact labels."""

from typing import Final

CLOSINGS: Final = (
    # English
    r"(?:(?:with )?(?:best|kind|kindest|warm|warmest|many|my best) ?(?:regards|wishes)|best,? regards|regards|sincerely"
    r"|yours (?:sincerely|truly|faithfully)|sincerely yours|respectfully(?: yours)?|cordially|with (?:kind|best|warm) regards"
    r"|all (?:the|my) best|rgds|kr|br|brgds|warmly|take care|have a (?:great|good|nice|lovely) (?:day|week|weekend|one|evening)"
    # German
    r"|mit (?:freundlichen|besten|herzlichen|lieben|sonnigen|kollegialen|vielen|freundlichem|bestem) gr(?:ü|ue)(?:ß|ss)(?:en)?"
    r"|mit freundlichem gru(?:ß|ss)|(?:freundliche|beste|viele|liebe|herzliche|schöne|sonnige|kollegiale|lg und beste)n?"
    r" gr(?:ü|ue)(?:ß|ss)e?n?|(?:freundlichen|besten|lieben|schönen) gru(?:ß|ss)|gr(?:ü|ue)(?:ß|ss)e?|gru(?:ß|ss)|mfg|vg|lg|bg"
    r"|hochachtungsvoll|herzlichst|schöne(?:n|s) (?:tag|wochenende|abend|woche)(?: noch)?"
    # French
    r"|(?:bien )?cordialement(?: vôtre)?|cdlt|cdt|bien à (?:vous|toi)|(?:très )?sincèrement|salutations(?: distinguées)?"
    r"|(?:avec )?(?:mes |nos )?(?:meilleures|sincères|cordiales|respectueuses) salutations|mes salutations(?: distinguées)?|sincères salutations"
    r"|(?:bonne|belle) (?:journée|fin de journée|soirée|semaine)(?: à vous)?|amicalement|respectueusement|a\+|à bientôt"
    r"|(?:je vous prie|veuillez|nous vous prions) [^.?\n]{0,60}(?:salutations|considération|sentiments)[^?\n]{0,30}"
    # Spanish
    r"|(?:un (?:cordial |afectuoso |fuerte )?)?(?:saludos?|abrazo)(?: cordial(?:es)?| a todos)?|cordial(?:es)? saludos?|atentamente|atte"
    r"|muy atentamente|cordialmente|un saludo|slds|reciba un cordial saludo|quedo (?:atent[oa]|a (?:la )?espera|a su disposición)"
    r"(?: a sus comentarios)?|feliz (?:día|tarde|semana)|buen día"
    # Portuguese
    r"|(?:atenciosamente|att|cordialmente|com os melhores cumprimentos|melhores cumprimentos|cumprimentos|cumps"
    r"|um abraço|abraços?|abs|grande abraço|com estima|saudações|respeitosamente|bom (?:dia|trabalho|fim de semana)|boa (?:tarde|semana))"
    # Italian
    r"|(?:cordiali|distinti|i migliori|migliori) saluti|un (?:cordiale |caro )?saluto|saluti(?: cordiali)?|cordialmente"
    r"|buona (?:giornata|serata|settimana)|buon (?:lavoro|pomeriggio)|in fede|a presto"
    # Dutch
    r"|met (?:vriendelijke|hartelijke|beste|warme) groet(?:en)?|vriendelijke groet(?:en)?|hartelijke groet(?:en)?|groet(?:en|jes)?"
    r"|mvg|hoogachtend|fijne (?:dag|avond|week|weekend)(?: nog)?|met groet"
    # Swedish, Danish, Norwegian, Finnish
    r"|(?:med )?(?:vänlig|vänliga|bästa|varma|venlig|vennlig|bedste|beste|de bedste|mange) (?:hälsning(?:ar)?|hilsen(?:er)?|hilsner)"
    r"|hälsning(?:ar)?|hilsen|mvh|vh|vänligen|bästa hälsningar|ha en (?:bra|fin|trevlig|god|fortsatt)[^.?\n]{0,20}"
    r"|(?:ystävällisin |parhain )?terveisin|terv|ystävällisesti"
    # Polish, Czech, Turkish
    r"|z (?:poważaniem|wyrazami szacunku|pozdrowieniami|szacunkiem|serdecznymi pozdrowieniami|uszanowaniem)"
    r"|(?:serdecznie )?pozdrawiam(?: serdecznie| ciepło)?|pozdrowienia|pozdr|miłego (?:dnia|weekendu|popołudnia)|łączę [^.?\n]{0,40}"
    r"|s (?:pozdravem|přáním[^.?\n]{0,30}|úctou)|(?:saygılarımla|saygılarımızla|iyi (?:çalışmalar|günler)|selamlar|sevgiler)"
    # Japanese, Chinese, Korean
    r"|敬具|草々|以上|拝|此致|敬礼|敬禮|(?:敬)?祝(?:您|你)?(?:商祺|商安|好|顺利|順利|工作顺利|工作順利|生意兴隆|安好|近安|時祺|时祺|一切顺利|一切順利|身体健康|愉快|周末愉快)"
    r"|(?:顺|順)(?:祝|颂|頌)(?:商祺|商安|时祺|時祺|安好|台祺)|此致 ?敬[礼禮]|谨启|敬上|敬啟|감사합니다|드림)"
)
"""Closings whose line belongs to the signature, as alternatives of a pattern."""

SHORT_CLOSINGS: Final = r"(?:best|cheers|warm|ciao|bises|bjs|beijos|beso?s|xx?|love|salut|hej|tschüss|ciao ciao|servus|mit gruß|gr|saludos|abs|grtz)"
"""Closings that are everyday words, too: only with nothing but a name behind them."""

THANKS: Final = (
    r"(?:(?:many |kind |with )?thanks(?: (?:again|a lot|so much|very much|in advance|all|and regards))?"
    r"|thank you(?: (?:again|so much|very much|in advance|for your (?:time|understanding)))?|thx"
    r"|(?:vielen |herzlichen |besten |schönen |lieben )?dank(?:e)?(?: (?:im voraus|vorab|und (?:viele |beste |liebe )?grüße|ihnen|dir))?"
    r"|(?:un grand )?merci(?: (?:beaucoup|d'avance|par avance|bien|à vous|encore|et bonne journée))?|(?:muchas |mil )?gracias"
    r"(?: (?:de antemano|por su (?:tiempo|comprensión)|y saludos))?|(?:muito )?obrigad[oa](?: (?:desde já|e abraço))?|grato|grata"
    r"|(?:mille |molte |tante )?grazie(?: (?:mille|in anticipo|e (?:saluti|buona giornata|cordiali saluti)))?|ringrazio"
    r"|(?:alvast |hartelijk |heel erg )?(?:dank|bedankt)(?: (?:je|u)(?: wel)?)?(?: alvast| bij voorbaat)?|dank(?:je|uwel|jewel)|(?:stort |många |tusen )?tack(?: (?:på förhand|så mycket|för hjälpen))?"
    r"|(?:mange |på forhånd )?takk?|kiitos|dziękuję(?: (?:i pozdrawiam|bardzo|z góry|uprzejmie))?|(?:z góry )?dziękuję|dzięki|děkuji|teşekkürler"
    r"|ありがとうございま(?:す|した)|よろしくお願い(?:いたし|致し|申し上げ|し)ます|宜しくお願い(?:いたし|致し|申し上げ|し)ます"
    r"|どうぞよろしくお願い(?:いたし|致し|申し上げ|し)ます|以上、よろしくお願い(?:いたし|致し|申し上げ|し)ます|谢谢|謝謝|多谢|感谢|感謝)"
)
"""Thanks that end a mail: the line stays the writer's words, what follows may be a signature."""

FOOTERS: Final = (
    r"(?:sent|get) (?:from|via|with|using|through|by) (?:my |a |an |the )?(?:new )?(?:iphone|ipad|ipod|mobile|cell|phone|smartphone|tablet"
    r"|android|samsung|galaxy|huawei|xiaomi|pixel|blackberry|nokia|windows|outlook|mail\b|yahoo|aol|gmail|proton|spark|superhuman"
    r"|hey|fairphone|handheld|device|work(?:space)?|oneplus|sony|lg\b|htc|motorola|t-mobile|verizon|at&t|front|missive|airmail|boxer|boomerang|edison|nine)"
    r"|get outlook for|sent from outlook|sent (?:on the go|while mobile|from a mobile)"
    r"|(?:von|vom) (?:meinem|meiner|unterwegs|mobilgerät|iphone|handy|smartphone)[^.?]{0,40}(?:gesendet|gesandt|verschickt)"
    r"|(?:gesendet|verschickt|versendet|diese nachricht wurde) (?:von|mit|vom|über)[^.?]{0,60}"
    r"|(?:holen|laden) sie sich outlook|outlook für (?:ios|android|iphone)|mobil gesendet"
    r"|envoyé (?:de|depuis|à partir|avec|par)|télécharge[zr] outlook|obtene[zr] outlook|obtenir outlook|provenance : courrier"
    r"|envoyé(?:e)? (?:de|depuis) mon|enviado (?:desde|do|de|con|via|a partir|pelo|com|através)|(?:obtener|obtén|obtenga|descargar) outlook"
    r"|(?:obter|obtenha|baixar|instale) (?:o )?outlook|inviato (?:da|dal|dall'|con|tramite)|(?:ottieni|scarica) outlook|outlook (?:per|para|pour|voor|för|dla|til) (?:ios|android|iphone)"
    r"|(?:verzonden|verstuurd|gestuurd) (?:vanaf|vanuit|van|met|via)|(?:download|haal|ontvang) outlook|skickat från|skickat via|(?:hämta|skaffa) outlook"
    r"|sendt fra|(?:hent|få|skaff deg) outlook|lähetetty (?:iphonesta|androidista|[^.?]{0,20}puhelimesta)|hanki outlook"
    r"|wysłan[eoay] (?:z|za pomocą|przy użyciu)|(?:pobierz|uzyskaj) (?:aplikację )?outlook|odesláno z|získe?jte outlook|získat aplikaci outlook"
    r"|[^.?]{0,30}(?:'[dt][ae]n|cihazımdan|telefonumdan|iphone'umdan) gönderildi|(?:android|ios) için outlook|[^.?]{0,20}outlook'u edinin"
    r"|(?:私の)?(?:iphone|ipad|android|スマートフォン|スマホ|携帯|galaxy|xperia)[^。]{0,12}から(?:の)?送信|outlook for (?:ios|android)を(?:入手|取得)"
    r"|[^。]{0,20}(?:版|用|の) ?outlook ?を(?:入手|取得|ダウンロード)|(?:ios|android)(?: ?版| ?用) ?outlook|yahoo!?メール"
    r"|(?:发自|發自|来自|來自|从|從|由)(?:我的|于|於)?[^。]{0,24}(?:iphone|ipad|手机|手機|传送|傳送|发送|發送|android|华为|小米|oppo|vivo|荣耀|邮箱|郵箱|客户端|outlook|mail|邮件)[^。]{0,20}"
    r"|(?:获取|取得|下载|下載) ?outlook|나의 iphone에서|[^.?]{0,20}에서 보냄|sent from naver"
    r"|(?:excuse|forgive|please (?:excuse|forgive|pardon)|apologies for|pardon|sorry for) (?:any |the |my )?(?:typos?|brevity|spelling|fat fingers|autocorrect|errors)[^?]{0,60}$"
    r"|typed (?:on|with) (?:my|a) (?:phone|mobile|thumbs?)|dictated (?:but not|via|on|with)[^?]{0,50}$"
    r"|(?:virus-free|virenfrei|virus frei|sin virus|libre de virus|senza virus|virusvrij|virusfritt|wolny od wirusów|garanti sans virus|não contém vírus)\b"
    r"|(?:this e?-?mail has been (?:checked|scanned) (?:for|by))|no virus found"
)
"""Lines that an app or a scanner puts below a mail, as alternatives of a pattern for the beginning of a line."""

TITLES: Final = (
    r"\b(?:ceo|cto|cfo|coo|cio|ciso|cmo|cro|cpo|chro|evp|svp|avp|vp|vice[- ]president|president|director|directora?|directeur|directrice"
    r"|direktor|direktör|dyrektor|diretora?|direttore|direttrice|manager|mgr|managerin|head of|leiter(?:in)?|teamleit(?:er|ung)|abteilungs|responsable|responsabile"
    r"|responsável|chef(?:fe|in)?\b|chefe|jefe|jefa|gerente|founder|co-?founder|gründer(?:in)?|fondat(?:eur|rice|ore)|fundador|owner|inhaber(?:in)?"
    r"|eigenaar|titolare|proprietário|propietari[oa]|właściciel|ägare|partner|associate|assistant|assistent|asystent|assistente"
    r"|asistente|sekretar|secretary|secretaria|coordinator|koordinator|coordinat|coordenador|coordinador|officer|engineer|ingenieur|ingénieur|ingeniero|engenheir|ingegnere|inżynier"
    r"|consultant|berater(?:in)?|consultor|consulente|adviseur|rådgivare|analyst|analist|specialist|spécialiste|especialista|specjalista|procurement|purchasing|einkauf(?:sleit|er)?"
    r"|achats|compras|acquisti|inkoop|inköp|zakup|vertrieb|sales|marketing|operations|buchhaltung|accountant|controller|controlling|principal|superintendent|professor|prof\.|dr\.|dipl|m\.?sc|mba|ph\.?d"
    r"|geschäftsführ|prokurist|vorstand|bereichsleit|kierownik|prezes|verkställande|vd\b|platschef|ansvarig|beleidsmedewerker|medewerker|bestuurder|directie|hoofd|administrat|administrador|amministrat"
    r"|representative|executive|lead\b|leader|supervisor|buyer|planner|architect|developer|entwickler|counsel|attorney|lawyer|rechtsanw|avocat|abogad|advogad|avvocato|nurse|clinic|dept|department|abteilung|departamento|dipartimento|afdeling|avdelning|dział|service)\b"
    r"|代表取締役|取締役|部長|課長|係長|主任|マネージャー|担当|本部|事業部|営業部|総務|購買|情報システム|[部課室]$|社長|経理|总经理|經理|经理|总监|總監|主管|董事|采购|採購|部门|部門|工程师|工程師|主任|助理|创始人"
)
"""Words of positions and departments."""

COMPANIES: Final = (
    r"\b(?:gmbh(?: & co\.? kg)?|ag|kg|ohg|e\.?v|ug|mbh|inc|llc|llp|ltd|limited|plc|corp|corporation|co\.|pty|s\.?a\.?s|s\.?a\.?r\.?l|s\.?r\.?l|s\.?p\.?a"
    r"|s\.?l\.?u?|s\.?a(?: de c\.?v)?|ltda|lda|eireli|b\.?v|n\.?v|ab|a/s|aps|as|oyj?|sp\. ?z ?o\.? ?o|s\.a|s\.r\.o|a\.ş)(?:\.|\b)"
    r"|株式会社|有限会社|合同会社|㈱|有限公司|股份公司|集团|集團|公司|주식회사"
)
"""Legal forms of companies."""

CONTACTS: Final = (
    r"(?:\b(?:tel|tél|telefon|telefono|teléfono|telefone|telefoon|téléphone|phone|ph|mob|mobil|mobile|mobiel|móvil|cell|cel|celular|cellulare|gsm|handy|natel|fax|direct|direkt|office|desk"
    r"|durchwahl|dw|fon|kom|ext|portable|mobiltelefon|växel|whatsapp|skype|wechat|linkedin|web|www|e-?mail|mail|email|mailto|t|m|p|f|e|w|d|c|o)\s?[.:|)](?!\))"
    r"|(?:電話|内線|携帯|手机|手機|电话|邮箱|郵箱|传真|傳真|地址|住所|〒|tel|fax)[ ::：]?|전화|휴대폰"
    r"|(?:\+|\b00)\d[\d ().\-/]{6,}\d|\(?\b0\d{1,5}\)?[ /.-][\d ./-]{4,}\d|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b|\(\d{3}\) ?\d{3}-\d{4}"
    r"|https?://|\bwww\.|[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,}|\b(?:[a-z0-9-]+\.)+(?:com|net|org|example|de|fr|es|pt|it|nl|se|pl|jp|cn|eu|io|ch|at|be|br|mx|uk|co)\b)"
)
"""Telephones, addresses on the net and their labels."""

PLACES: Final = (
    r"(?:\b\d{1,5}[a-z]?,? (?:[\w.'-]+ ){1,3}(?:st|street|rd|road|ave|avenue|blvd|lane|ln|drive|dr|way|suite|floor|place|square|court)\b"
    r"|(?:straße|strasse|str\.|gasse|platz|weg|allee|ring|damm|ufer)\s?\d|\b(?:rue|avenue|boulevard|bd|place|chemin|quai|calle|c/|av\.|avda|avenida|paseo|plaza|rua|praça|travessa|via|viale|piazza|corso|largo|ul\.|al\.|aleja|plac)\s"
    r"|(?:straat|laan|weg|plein|kade|gracht|gatan|vägen|torget|gate|vej)\b\s?\d|\b(?:[a-z]{1,2}-)?\d{4,5} [A-ZÄÖÜÉ][\w-]+|\b\d{4} ?[a-z]{2}\b \w|\b\d{2}-\d{3} \w|\b[a-z]{1,2}\d[a-z\d]? \d[a-z]{2}\b"
    r"|\bcedex\b|\bcep\b|p\.?o\.? box|postfach|postbus|[都道府県市区町村].{0,12}\d|[省市区區路街号號].{0,12}\d|〒)"
)
"""Streets, postal codes and towns."""
