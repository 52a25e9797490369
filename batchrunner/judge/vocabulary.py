"""
What is spoken of where a way is closed: concepts, and the words for them in eleven languages.

Words are parted by bars. A star says that more may follow, or go before. Case, punctuation and
the kind of apostrophe do not count. Chinese, Japanese and Korean words are found anywhere. The
order is English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, and those three.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

_WORD = re.compile(r"[^\W_]+")
#: From here on, scripts put no spaces between words, or hang endings on them.
_FIRST_OF_CJK = "\u1100"


def plain(text: str) -> str:
    """Return a text's words in small letters, with one space before, between and after them."""
    small = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return f" {' '.join(_WORD.findall(small.casefold()))} "


def _of(*languages: str) -> frozenset[str]:
    return frozenset(_needle(word.strip()) for words in languages for word in words.split("|"))


def _needle(word: str) -> str:
    spelled = plain(word).strip()
    if spelled[0] >= _FIRST_OF_CJK:
        return spelled
    return ("" if word[0] == "*" else " ") + spelled + ("" if word[-1] == "*" else " ")


class Concept(Enum):
    """What a sentence may speak of: the words for it, as `plain` spells them."""

    # ---- walls against programs ----

    #: A check that tells people from programs.
    CHALLENGE = _of(
        "*captcha* | turnstile | human verification | human check | bot check | robot check",
        "robot or human | bot or not | security check* | security verification",
        "security challenge | browser check | press hold | press and hold | puzzle*",
        "challenge page | challenge screen | bot challenge | verification screen",
        "verification page | verification challenge | verification step | checking your *",
        "checking the site* | checking if the * | connection is secure | interstitial",
        "traffic lights | crosswalks | picture grid | verifying you are | verifying that you",
        "enable javascript | enable js | javascript disabled | javascript is disabled",
        "automated access | automated traffic | automated request* | automatisierte* zugriff*",
        "turn javascript on | enable cookies | javascript and cookies | *sicherheitsüberprüfung*",
        "*sicherheitsprüfung* | *sicherheitsabfrage* | *sicherheitskontrolle*",
        "contrôle de sécurité | vérification de sécurité | page de vérification",
        "vérification anti* | comprobación de seguridad | verificación de seguridad",
        "control de seguridad | verificación anti* | verificação de segurança | verificação anti*",
        "desafio de segurança | controllo di sicurezza | verifica di sicurezza | controllo anti*",
        "verifica anti* | beveiligingscontrole | veiligheidscontrole | beveiligingscheck",
        "weryfikacja bezpieczeństwa | kontrola bezpieczeństwa | weryfikację antybotową",
        "セキュリティ確認 | セキュリティチェック | 画像認証 | 认证画面 | キャプチャ認証 | 安全验证",
        "安全驗證 | 安全检查 | 验证码 | 人机验证 | 滑块 | 보안 확인 | 보안문자 | 캡차 | 캡챠",
        "picture test | image test | picture puzzle | image challenge | image puzzle",
        "picture challenge | 画像を選択 | 图片验证 | 图形验证 | 拼图 | slider* | tick the box",
        "verifying your * | 인지 확인 | 사람인지 | 真人验证 | 人間であること | distorted",
        "type the letters | type the characters | enter the characters | enter the letters",
        "로봇이 아닙니다 | 로봇이 아님 | ロボットではありません | 我不是机器人 | i m not a robot",
        "i am not a robot | kein roboter | no soy un robot | não sou um robô | non sono un robot",
        "ik ben geen robot | nie jestem robotem | je ne suis pas un robot",
    )
    #: What stands guard.
    GUARD = _of(
        "cloudflare* | akamai* | datadome | perimeterx | imperva | incapsula | kasada | sucuri",
        "cloudfront | arkose | geetest | anti crawler* | spam firewall | spamfirewall | ddos guard",
        "ddos protection | ddos schutz | wordfence | stackpath | security service",
        "security solution | security system | defense system | protection system",
        "protection service* | security software | security incident | threat protection",
        "your vpn | or vpn | human security | waf | firewall | anti bot* | antibot* | anti robot*",
        "anti scrap* | bot wall | bot detection | bot protection | bot manager | bot management",
        "bot mitigation | bot defen* | bot schutz | botschutz | bot erkennung | boterkennung",
        "roboterschutz | antirobot* | anti robô* | système de protection | système de sécurité",
        "sistema de protección | sistema de seguridad | sistema de proteção | sistema de segurança",
        "sistema di protezione | sistema di sicurezza | beveiligingssysteem | sicherheitssystem",
        "schutzsystem | system ochrony",
    )
    HUMAN = _of(
        "human* | real person | a person | a bot | bots | robot* | a script | a program",
        "a machine | mensch* | roboter | kein bot | humain* | humano* | persona | robô* | umano",
        "un bot | mens | człowiek* | robotem | botem | geen bot | ロボット | 人間 | 机器人",
        "機器人 | 真人 | 人类 | 로봇 | 사람 | real visitor | real user | real people",
        "living person",
    )
    PROVE = _of(
        "verify* | confirm* | prove* | to show that | show that you | make sure* | making sure",
        "be sure | are you | know you | bestätige* | beweise* | nachweis* | überprüfe* | sind sie",
        "bist du | vérifie* | prouve* | confirme* | démontre* | êtes vous | es tu | demuestr*",
        "demostr* | verifi* | comprueb* | comprob* | eres | comprov* | certifi* | conferm*",
        "dimostr* | sei | bevestig* | bewijs* | controleer | ben je | bent u | potwierd*",
        "udowodni* | zweryfikuj* | czy jesteś | 確認 | 証明 | 确认 | 確认 | 验证 | 驗證 | 证明",
        "인증 | 확인 | 증명 | check that you | check that we | check if you | checking that you",
        "checking if you | tell us you | establish that | prüfen | überprüfen | look like",
        "seem to be | appear to be | behave like | not a program | provar | probar | provare",
        "bewijzen | udowodnić | prouver",
    )
    #: The visitor, who is spoken to.
    YOU = _of(
        "you | your | yourself | youre | sie | ihr | ihre* | du | dein* | vous | votre | vos | tu",
        "usted | su | eres | você | seu | sua | sei | di essere | tuo | la tua | il tuo | je | jij",
        "uw | u bent | jesteś | twój | twoje* | please | bitte | veuillez | merci de | por favor",
        "per favore | alstublieft | prosimy | proszę | ください | 下さい | あなた | 您 | 你 | 请",
        "請 | 세요 | 십시오 | 귀하 | u moet | moet u | je moet | moet je | bent u | ben je",
        "sei un | êtes vous | sind sie",
    )
    #: No way in.
    DENIED = _of(
        "denied | denies | denying | forbidden | 403 | blocked | blocks | blocking | banned",
        "refused | refuses | rejected | rejects | restricted | restricts | turned away",
        "turns away | not permitted | not allowed | no permission | you do not have access",
        "you don t have access | you have no access | necessary permission*",
        "don t have permission | not authorized | not authorised | blacklisted | dropped | barred",
        "kept out | block | won t let | wont let | not let | doesn t let | *verweigert*",
        "*verwehrt | blockier* | geblockt | gesperrt | abgelehnt | abgewiesen | keine berechtigung",
        "kein zugriff | keinen zugriff | untersagt | refusé* | refuse | interdit* | bloqué*",
        "bloque* | rejeté* | denegad* | bloquead* | bloqueó | restringid* | rechazad* | prohibid*",
        "negad* | bloqueou | recusad* | proibid* | negato | bloccat* | rifiutat* | vietato",
        "geweigerd | geblokkeerd | ontzegd | odmowa | odmówiono | zablokowan* | zabroniony",
        "nie masz uprawnień | 拒否 | 拒絶 | ブロックされ | 禁止 | 拒绝 | 拒絕 | 被阻止 | 已被封",
        "거부 | 차단 | let you in | let me in | let us in | shut out | shut us out | locked out",
        "lock out | bloqué | cut us off | no está permitid* | não é permitid* | non è consentit*",
        "ブロック | not welcome | suspended | has been closed | terminated | revoked",
        "has been limited | temporarily limited | suspendid* | sospes* | opgeschort | zawieszon*",
        "封禁 | 被封 | 限制访问 | 制限されて | 제한되었습니다 | 접근 제한 | 限制",
    )
    #: It was the visitor who was kept out.
    BARRED = _of(
        "been blocked | been banned | been restricted | been denied | been rate limited",
        "been flagged | blocked me | blocked us | denied us | denied me | refused us | refused me",
        "blocked my | blocked our | blocked by | blocked at | blocked because | blocked due",
        "refused due | denied due | turned us away | wurden blockiert | wurden gesperrt",
        "blockiert durch | avez été bloqué* | bloqué par | ha sido bloquead* | bloqueado por",
        "foi bloquead* | sei stato bloccato | bloccato da | bent geblokkeerd",
        "zostałeś zablokowan* | 已被封禁 | 차단되었습니다",
    )
    #: The visit, as a page speaks of it.
    VISIT = _of(
        "your ip | your ip address | your request* | your visit | your connection | your browser",
        "your access | your network | your computer | your device | our visit | our request",
        "my visit | my request* | ihre ip* | ihre anfrage | ihr zugriff | ihr browser",
        "votre requête | votre adresse ip | votre navigateur | tu ip | su ip | su dirección ip",
        "tu navegador | su navegador | su solicitud | seu ip | seu endereço | seu navegador",
        "sua solicitação | il tuo ip | tuo browser | tuo indirizzo | uw ip* | je ip* | uw verzoek",
        "twój adres | twoje żądanie | twoja przeglądarka | ご利用の | お使いの | 您的ip | 您的访问",
        "您的请求 | 您的网络 | 您的浏览器 | 귀하의 | 고객님의 | ma visite | ma requête",
        "ma connexion | mi visita | mi solicitud | minha visita | minha solicitação",
        "la mia visita | la mia richiesta | meine anfrage | mein zugriff | meinen zugriff",
        "mijn bezoek | mijn verzoek | moją wizytę | this connection | this request | this visit",
        "you ve been | our connection | your session | your activity | notre requête",
        "notre visite | nuestra solicitud | nossa solicitação | la nostra richiesta | ons verzoek",
        "unsere anfrage* | unseren zugriff | nasze żądanie | our side | our traffic | this traffic",
    )
    #: What is denied.
    ENTRY = _of(
        "access* | entry | request* | visit* | connection | ip | ip address | server | page | site",
        "website | retailer | host | http | attempt* | error | status | zugriff* | zugang*",
        "anfrage* | ip adresse | accès | requête | acceso | solicitud | petición | sitio | página",
        "conexión | visita | acesso | pedido | solicitação | accesso | richiesta | toegang",
        "verzoek | dostęp* | żądanie | アクセス | 访问 | 訪問 | 请求 | 접근 | 접속 | 요청 | agent",
        "browser",
    )
    PROGRAM = _of(
        "automat* | bot | bots | robot* | crawler* | scrap* | script* | non human | roboter*",
        "robô* | zautomatyz* | 自動 | ボット | 自动 | 机器人 | 자동 | 봇 | machine made",
        "like a machine | nonhuman | bot like | botlike | ロボット | 로봇 | spider",
    )
    #: Seen to be so.
    NOTICED = _of(
        "detected | detects | noticed | noticing | flagged | classified | identified | recognised",
        "recognized | suspected | looks like | made us think | believe | think you",
        "something about | erkannt | festgestellt | bemerkt | détecté* | repéré* | detectado",
        "detectó | hemos detectado | detectamos | detectou | rilevato | abbiamo rilevato",
        "gedetecteerd | vastgesteld | wykryto | wykryliśmy | 検出 | 検知 | 检测到 | 偵測 | 감지",
        "判断され | みなされ | 被识别 | 判定 | thinks | believes | cree que | pense que | glaubt",
        "acha que | crede che | denkt dat | hält mich | taken for | takes us | mistook",
        "mistaken for",
    )
    UNUSUAL = _of(
        "unusual | suspicious | abnormal | something odd | odd about | strange | ungewöhnlich*",
        "verdächtig* | auffällig* | inhabituel* | suspect* | inusual* | sospechos* | incomum",
        "suspeit* | insolit* | sospett* | ongebruikelijk* | verdacht* | nietypow* | podejrzan*",
        "通常と異なる | 不審 | 异常 | 異常 | 비정상",
    )
    TRAFFIC = _of(
        "traffic | activity | activities | requests | behaviour | behavior | browse | browsing",
        "connection* | datenverkehr | verkehr | aktivität* | anfragen | trafic | activité*",
        "tráfico | actividad | tráfego | atividade* | traffico | attività | verkeer | activiteit*",
        "ruch | aktywność | トラフィック | アクセス | 流量 | 活动 | 访问 | 트래픽 | 활동 | 접속",
    )
    #: More than is let through.
    TOO_MUCH = _of(
        "too many requests | too many attempts | too much traffic | rate limit* | rate limiting",
        "ratelimited | throttl* | 429 | high number of requests | request limit | slow down",
        "zu viele anfragen | trop de requêtes | demasiadas solicitudes | demasiadas peticiones",
        "muitas solicitações | muitos pedidos | troppe richieste | te veel verzoeken",
        "te veel aanvragen | zbyt wiele żądań | zbyt wiele zapytań | リクエストが多すぎ",
        "请求过于频繁 | 访问过于频繁 | 操作过于频繁 | 요청이 너무 많 | too fast | too quickly",
        "faster than a | zu schnell | trop vite | demasiado rápido | troppo veloce | te snel",
        "zbyt szybko | excessive | many requests | frequent requests | exceeded the",
    )
    #: Where the visitor is.
    PLACE = _of(
        "your country | your region | your location | your area | your territory | this country",
        "this region | from your location | from this location | outside the us | ihrem land",
        "ihrer region | deinem land | votre pays | votre région | tu país | su país | tu región",
        "su región | seu país | sua região | tuo paese | tua regione | jouw land | uw land",
        "jouw regio | twoim kraju | twoim regionie | お住まいの地域 | お住まいの国 | 您所在的",
        "你所在的 | 지역에서는 | 국가에서는 | 거주 지역 | desde su país | desde tu país",
        "aus ihrem land | depuis votre pays | do seu país | no seu país | dal tuo paese",
        "vanuit uw land | z twojego kraju | from within the | in your market | from outside the",
        "your current location | eu visitors | european visitors",
    )
    CLOSED_TO = _of(
        "not available | unavailable | isn t available | not accessible | cannot be | can t be",
        "can not be | blocked | restricted | not offered | nicht verfügbar | nicht abrufbar",
        "pas disponible | indisponible | no está disponible | no disponible | não está disponível",
        "indisponível | non è disponibile | non disponibile | niet beschikbaar | niedostępn*",
        "ご利用いただけません | 利用できません | 视聴できません | 不可用 | 无法 | 이용할 수 없",
        "이용하실 수 없 | no está permitid* | nicht erlaubt | nicht gestattet | not permitted",
        "not allowed | can t be played | pas autorisé* | não é permitid* | non è consentit*",
        "niet toegestaan | only be used | only available | can only be | not offer",
    )
    AGE = _of(
        "over 18 | 18 years | over 21 | 21 years | 18 or older | 21 or older | your age",
        "of legal age | age gate | age check | age verification | birth date to | date of birth to",
        "über 18 | volljährig | 18 jahre | votre âge | plus de 18 ans | majeur | mayor de edad",
        "mayor de 18 | tu edad | maior de 18 | maior de idade | maggiorenne | almeno 18 anni",
        "18 jaar | ouder dan 18 | pełnoletni* | ukończone 18 | 18歳以上 | 年满18 | 已满18",
        "만 19세 | 성인인증 | 성인 인증 | drinking age | legal age | smoking age | age restricted",
        "adults only | mayores de edad | minderjährig*",
    )
    ENTER = _of(
        "to enter | to continue | to proceed | to access | to view | enter this | enter the",
        "to go on | please | required | betreten | fortzufahren | weiter | entrer | accéder",
        "continuer | entrar | acceder | continuar | acessar | entrare | accedere | continuare",
        "verder | toegang | wejść | kontynuować | です | 访问 | 进入 | 이용",
    )

    # ---- walls against strangers ----

    #: To say who one is.
    SIGN_IN = _of(
        "paywall | log in | logged in | logging in | login | login* | sign in | signed in",
        "signing in | signin | sign on | sso | authwall | auth wall | log ins | sign up",
        "signing up | signed up | unauthorized | 401 | 2fa | two factor* | anmelde* | anmeldung",
        "angemeldet* | einloggen | eingeloggt* | loggen sie | melden sie sich | melde dich",
        "logge dich | kundenlogin | connectez vous | se connecter | connecté* | connexion",
        "identifiez vous | s identifier | vous connecter | iniciar sesión | inicia sesión",
        "inicie sesión | iniciado sesión | identifícate | identifíquese | acceder con | faça login",
        "fazer login | iniciar sessão | inicie sessão | efetuar login | entrar na sua conta",
        "estar logado | accedi | accedere con | effettua il login | effettuare l accesso",
        "effettuare il login | inloggen | ingelogd* | log je in | zaloguj* | zalogowa* | logowani*",
        "ログイン | サインイン | 登录 | 登錄 | 登入 | 로그인 | entre na sua conta | na sua conta",
        "acesse sua conta | meld je aan | meld u aan | aanmelden | single sign on | one time code",
        "logado* | conecte se | conectarse | conéctate | registrarse | identificarse",
        "accedere per | devi accedere | accedere al | log in op | authentication required",
        "authentication is required | authentication needed | requires authentication",
        "require authentication | please authenticate | must authenticate | authentication screen",
        "authentication page | authentication wall | authenticate to | authenticate first",
        "not authenticated | authenticate again",
    )
    #: What one needs for it.
    ACCOUNT = _of(
        "an account | account | accounts | credentials | username | password | membership",
        "registration | register | registered | subscription | konto | kundenkonto | zugangsdaten",
        "passwort | registrier* | identifiants | un compte | mot de passe | inscri* | credenciales",
        "una cuenta | contraseña | regístr* | registrarse | uma conta | cadastr* | registre se",
        "un account | registrat* | registrazione | een account | geregistreerd* | konta | hasło",
        "zarejestruj* | アカウント | 会員登録 | 账号 | 账户 | 注册 | 계정 | 회원가입",
        "members area | become a member | become a subscriber | a member | account holders",
        "one time code | verification code | passcode | otp | e mail and | email and password",
        "benutzerkonto | nutzerkonto | gebruikersaccount | benutzername | cuenta | conta",
    )
    #: Those who may see it.
    MEMBERS = _of(
        "members | member | subscribers | registered users | registered customers",
        "registered members | registered dealers | logged in users | signed in users",
        "paying readers | premium users | customers who are | mitglieder | abonnenten",
        "registrierte* | angemeldete* | händler | membres | abonnés | utilisateurs connectés",
        "utilisateurs inscrits | usuarios registrados | clientes registrados | suscriptores",
        "abonados | socios | assinantes | usuários registrados | usuários cadastrados | membros",
        "abbonati | utenti registrati | iscritti | abonnees | leden | zalogowan* | subskrybentów",
        "abonentów | 会員 | 購読者 | 有料 | 会员 | 订阅者 | 구독자 | 회원 | usuários logados",
        "usuarios conectados | utenti loggati | account holders | abonné | abonnée | suscriptor",
        "assinante | abbonato | abonnee | subscriber | premium",
    )
    #: Nobody else.
    ONLY = _of(
        "only | exclusive* | reserved | limited to | restricted to | nur | ausschließlich",
        "exklusiv | vorbehalten | réservé* | uniquement | seulement | exclusi* | solo | sólo",
        "únicamente | reservad* | somente | apenas | só | riservat* | soltanto | alleen",
        "uitsluitend | tylko | wyłącznie | 限定 | のみ | 专享 | 仅限 | 仅 | 전용 | 만 볼 수",
        "is for | are for | for paying | available to | available for | erst nach | only after",
        "solo tras | seulement après | apenas após | solo dopo | pas na | dopiero po | nur nach",
        "tylko po",
    )
    #: Which pays, and what it asks.
    PAYWALL = _of(
        "free articles | article limit | to keep reading | to continue reading | keep reading",
        "continue reading | paywalled | to read the full | to read this | start your trial",
        "subscribe to | is behind a paywall | behind a paywall | subscribe now",
        "subscription required | bezahlschranke | weiterlesen | abo abschließen | jetzt abonnieren",
        "abonnez vous | lire la suite | suscríbete | suscríbase | seguir leyendo | assine",
        "continuar lendo | abbonati per | abbonati ora | per continuare a leggere",
        "per leggere l articolo | word abonnee | verder lezen | wykup | subskrybuj | czytać dalej",
        "続きを読む | 有料会員 | 订阅后 | 付费 | 구독하 | free stories | limit of free",
        "article left | articles left | articles remaining | free article | unlimited access",
        "last free | to unlock | unlock the | unlock this",
    )
    SUBSCRIBE = _of(
        "subscribe | subscription | trial | articles | article | story | abo | abonn* | suscr*",
        "assin* | abbon* | subskryb* | artikel | artykuł* | 購読 | 記事 | 订阅 | 文章 | 구독",
        "기사 | full text | full article | full story",
    )
    #: To get at it.
    TO_SEE = _of(
        "to continue | to proceed | to view | to see | to access | to read | to unlock",
        "to get access | to keep | to reveal | to watch | before you | to open | to browse",
        "to go on | to discover | to join | first | um fortzufahren | zu sehen | um die *",
        "um diese* | um den * | fortfahren | anzuzeigen | anzusehen | weiterzulesen",
        "pour continuer | pour voir | pour accéder | pour lire | pour poursuivre | pour consulter",
        "pour afficher | para continuar | para ver | para acceder | para leer | para seguir",
        "para acessar | para visualizar | para ler | per continuare | per vedere | per leggere",
        "per accedere | per visualizzare | om verder | om deze | om dit | te bekijken | te zien",
        "te lezen | aby zobaczyć | aby kontynuować | aby przeczytać | żeby zobaczyć | by zobaczyć",
        "表示する | 閲覧 | 続ける | 続行 | 查看 | 继续 | 浏览 | 보려면 | 계속하려면 | 이용하려면",
        "확인하려면 | to read on | for more | to find out more | um weiter* | aby czytać",
        "by czytać | 続きを読む | 続きは | 后可查看 | 后可 | 后查看 | 수 있는 | to download",
        "to listen | 볼 수 | 이용할 수 | 閲覧でき | 才能查看 | 才能 | viewing | accessing | seeing",
        "请先 | 먼저 | to book",
    )
    NEEDED = _of(
        "required | requires | require | needed | needs | need | needing | must | have to | had to",
        "has to | necessary | asks | asked | asking | requested | demands | please | mandatory",
        "you ll need | would need | expired | only | wants | wanted | not logged | not signed",
        "aren t logged | erforderlich | nötig | notwendig | muss | müssen | bitte | verlangt",
        "verlangte | ohne | requis* | nécessaire | devez | doit | faut | veuillez | merci de",
        "demande | sans | requiere | requerid* | necesari* | debe | debes | hay que",
        "nicht angemeldet | nicht eingeloggt | pas connecté* | hace falta | por favor | exige",
        "precisa | é necessário | deve | necessari* | devi | bisogna | occorre | moet | vereist",
        "nodig | wymagan* | musisz | należy | 必要 | してください | 请先 | 请 | 请您 | 需要 | 需先",
        "필요 | 해주세요 | 해 주세요 | insists | insisted | pede | pide | chiede | vraagt",
        "vereist* | 해야 | serve | servono | benötigt | benötigen | benötigst | potrzebne",
        "potrzebujesz | necesitas | necesita | precisa de | besoin d | besoin de | 必須",
    )

    #: What the form of a login says.
    FORM = _of(
        "enter your email and password | enter your password | enter your username",
        "forgot password | forgot your password | already have an account | already have one",
        "already a member | already a subscriber | create a free account | passwort vergessen",
        "mot de passe oublié | olvidaste tu contraseña | esqueceu a senha | esqueceu sua senha",
        "password dimenticata | hai già un account | wachtwoord vergeten | nie pamiętasz hasła",
        "パスワードをお忘れ | 忘记密码 | 비밀번호 찾기 | noch kein konto | pas encore de compte",
        "join now to see | is private",
    )

    # ---- what lies between the visitor and the page ----

    #: In the way.
    IN_THE_WAY = _of(
        "prevent* | stopp* | halted | stuck | behind | instead | hidden | hides | redirect*",
        "in the way | past | beyond | guards | kept | keeps | stood between | gated | encountered",
        "ran into | hit | hits | came up | appeared | gave up | no data | nothing | none",
        "not visible | only visible | visible after | visible only | out of reach | would not",
        "refused to | refuses to | met by | met with | ended at | not solve* | must be solved",
        "forces | bounced | landed | led to | timed out | walled | locked | only showed",
        "only shows | never | failed | served | incident | ray id | verhinder* | erschien* | statt",
        "hinter | lösen muss | gelöst werden | sichtbar | nur angezeigt | lediglich | empêch*",
        "résoudre | derrière | au lieu | impid* | apareció | resolver | detrás | en lugar",
        "apareceu | impede | impediu | em vez | impedisc* | risolvere | invece | verscheen",
        "oplossen | pojawił* | rozwiąz* | zamiast | 表示され | 出现 | 跳转 | 나타나 | 막혀",
        "cut the | cut off | closed the connection | before anything | before i | before any",
        "insisted | went no further | no further | replaced | aufgehalten | gestoppt | arrêté",
        "detenido | fermato | tegengehouden | zatrzymał* | did not work | didn t work",
        "could not be passed | not passed | over and over",
    )
    #: What a page does with it.
    SHOWN = _of(
        "protect* | shows | showed | show | shown | showing | displayed | displays | displaying",
        "display | returned | returns | presents | presented | appears | asks | asked | asking",
        "requires | required | demands | demanded | responded | answered | without | stays",
        "reference | keep | serves | serving | gate | angezeigt | zeigt | zeigte | geschützt",
        "verlangt | affiche* | protég* | demande | exige | muestra | mostró | aparece | protegid*",
        "mostrou | exib* | mostrato | mostra | protett* | chiede | toont | toonde | vraagt",
        "beschermd | wyświetla* | chroni* | wymaga | 表示 | 显示 | 要求 | 표시 | 요구",
    )
    #: The visitor, who speaks.
    SELF = _of(
        "i | i m | i ve | i d | we | me | my | us | our | the agent | the bot was | ich | wir",
        "mich | mir | meine* | je | j | nous | m | mi | pude | nos | mnie | mijn | ik | wij | 私",
        "我 | 我们 | 저 | ours | mine | somos | soy | ons | nas | noi | nós | sou | sono | jestem",
        "suis | bin | unser* | notre | nuestr* | noss* | nostr* | nasz*",
    )
    #: One who tells of what he did; a page that is quoted says `we`.
    SPEAKER = _of(
        "i | i m | i ve | i d | the agent | ich | je | j | ik | 私は | 我",
    )
    #: What was visited.
    PAGE = _of(
        "page* | site | website | web site | url | link | server | listing | screen | browser",
        "web page | homepage | portal | seite | webseite | page | página | sitio | pagina | sito",
        "strona | strony | stronie | witryn* | ページ | サイト | 页面 | 网站 | 頁面 | 페이지",
        "사이트 | content | inhalt* | contenu | contenido | conteúdo | resource | file | document",
        "contenuto | contenuti | treść | treści | コンテンツ | 内容 | 콘텐츠 | 서비스 | サービス",
        "dashboard | profile | directory | community | area | section | group | portal*",
    )

    # ---- what an agent could not do ----

    CANNOT = _of(
        "could not | couldn t | couldnt | cannot | can t | cant | can not | unable | not able",
        "wasn t able | weren t able | aren t able | failed to | fail to | fails to | not manage",
        "didn t manage | not possible | wasn t possible | isn t possible | impossible | no way to",
        "not succeed | didn t succeed | never got | never reached | never managed",
        "without success | in vain",
    )
    DO = _of(
        "access* | load* | open* | find* | locate* | extract* | retriev* | fetch* | obtain* | get",
        "get past | got | complet* | determin* | view* | read | reach* | navigat* | proceed*",
        "continu* | process* | fulfil* | perform* | identif* | display* | brows* | see | provid*",
        "solv* | pass | scrap* | collect* | verif* | help* | assist* | answer* | respond* | found",
        "gather* | finish* | carry out | do | do that | move | go any | go further | go on",
        "bypass* | spot* | accomplish* | discover* | detect* | deliver* | search* | parse*",
        "capture* | comply | report | return | summari* | visit* | execute* | discern | tell | say",
        "confirm | establish | make out | be done | be finished | be carried | be fulfilled",
    )
    #: An agent's own way to say no.
    DECLINED = _of(
        "must decline | have to decline | decline to | can t help | cannot help | can t assist",
        "cannot assist | not comfortable | i apologi* | apologies | i m sorry | i am sorry",
        "i m afraid | i am afraid | gave up | given up | giving up | ran out of | as an ai",
        "language model | i don t know | i do not know | i don t have access",
        "i do not have access | don t have the ability | do not have the ability | have no access",
        "has no access | no permission to | don t have permission | do not have permission",
        "no data was | nothing to report | nothing to extract | no data to return | so no data",
        "so nothing | won t be able | no browsing | es tut mir leid | tut mir leid | leider",
        "je suis désolé* | désolé* | malheureusement | lo siento | lamentablemente",
        "no puedo ayudar | desculpe | sinto muito | lamento | infelizmente | mi dispiace",
        "purtroppo | helaas | het spijt me | niestety | przykro mi | przepraszam | 申し訳",
        "残念ながら | 抱歉 | 很抱歉 | 对不起 | 죄송 | 유감 | gave me nothing | found nothing",
        "nothing to work with | came up empty | turned up nothing | nothing was found | no luck",
        "i won t | i will not | i refuse | i must refuse | i m not allowed | i am not allowed",
        "i m not permitted | i am not permitted | not allow me | not permit me | no answer",
        "have enough information | not enough information | have enough data",
        "insufficient information",
    )
    #: A whole failure in two or three words.
    FAILED = _of(
        "n ai pas pu | n ai malheureusement pas pu | n ai pas réussi | n ai pas trouvé",
        "n ai rien trouvé | ne peux pas | ne parviens pas | ne suis pas | ne trouve pas",
        "n arrive pas | impossible d | impossible de | pas en mesure | n a pu | n ont pas pu",
        "n a pas pu | aucune information | aucune donnée | introuvable sur | no pude | no puedo",
        "no pudimos | no podemos | no he podido | no logré | no encontré | no encuentro",
        "no se pudo | no se ha podido | no fue posible | no ha sido posible | no hay información",
        "no hay datos | no se encontr* | não consegui* | não pude | não posso | não foi possível",
        "não encontrei | não há informaç* | non sono riuscit* | non ho trovato | non ho potuto",
        "non riesco | non è stato possibile | impossibile | non posso | nie udało | nie mogę",
        "nie mogłem | nie mogłam | nie znalazłem | nie znalazłam | nie znaleziono | できなかった",
        "見つかりません | 見つけられ | 見つかりませんでした | ありませんでした | 含まれていません",
        "找不到 | 未能 | 没有找到 | 未找到 | 不包含 | 没有包含 | 수 없었 | 찾지 못",
        "página no encontrada | página não encontrada | page non trouvée | page introuvable",
        "pagina non trovata | seite nicht gefunden | pagina niet gevonden | strona nie istnieje",
        "页面不存在 | 页面未找到 | 못했습니다 | 실패 | 찾을 수 없 | es war nicht möglich",
        "war es nicht möglich | war mir nicht möglich | war es mir nicht | war nicht möglich",
        "niet gelukt | niet mogelijk om | 確認できません | 取得できません | できませんでした",
        "アクセスできません | 表示できません | 見つけることができ | 读取不到 | 打不开 | 열 수 없",
        "nicht in der lage | wurden keine | wurde kein | wurde nichts | niet in staat",
        "niet worden geladen | kon niet | 확인할 수 없 | 가져올 수 없 | 접근할 수 없",
        "제공할 수 없 | 완료할 수 없 | 无法访问 | 无法打开 | 无法获取 | 无法找到 | 无法提取",
        "无法加载 | 无法完成 | 无法在 | 无法读取 | 我无法 | 无法提供 | 无法确定 | 无法继续",
        "无法确认 | 無法存取 | non lo so | no lo sé | não sei | je ne sais pas | weiß es nicht",
        "weiß ich nicht | weet het niet | nie wiem | 不知道 | わかりません | 모르겠 | no he",
        "no hemos | non abbiamo | não conseguimos | nie znaleźliśmy | nous n avons pas",
    )
    #: German and Dutch part what they deny: the verb here, the `not` at the end.
    COULD = _of(
        "konnte* | kann | können | gibt es | finde | finden | liegen | lädt | antwortet | kon",
        "kan | konden | kunnen | is het | sind | enthält | bevat | existiert | existieren | öffnet",
        "reagiert | erreichbar | funktioniert | bestaat | werkt | reageert",
    )
    NOT = _of(
        "nicht | keine | keinen | kein | nichts | niet | geen | niets",
    )
    LACK_OF = _of(
        "preis* | information* | angaben | daten | seite | anfrage | ergebnis* | inhalt* | aufgabe",
        "ich | dazu | dabei | website | webseite | produkt | gegevens | informatie | prijs",
        "pagina | ik | taak | gevraagde | site | link | dokument | document",
    )
    #: A page that came to nothing.
    BROKEN = _of(
        "not load | didn t load | failed to load | never loaded | never finished loading",
        "loaded blank | blank page | empty page | is empty | was empty | is blank | was blank",
        "timed out | is down | was down | to be down | is offline | not respond* | didn t respond",
        "error page | 404 error | 404 page | 500 error | server error | page not found | not exist",
        "doesn t exist | no longer exists | went wrong | error occurred | not render",
        "didn t render | not open | didn t open | not found | failed | crashed | unfinished",
        "incomplete | not finished | returned an error | not process* | page has been removed",
        "file has been removed | been deleted | has moved | not completed | not be completed",
        "could not be | couldn t be | stopped before | no response | isn t there | is not there",
        "aborted | not appear | err name* | max steps | step limit | is dead | dead link",
        "not readable | unreadable | garbled | corrupt* | be read | not finish | that s an error",
        "error 404 | 404 not found | no cargó | no carga | no aparece | no existe | no respond*",
        "no funcion* | no abre | está vacía | fuera de servicio | está caída | não carreg*",
        "não existe | não aparece | não funciona | não abre | não responde | fora do ar",
        "está vazia | non si carica | non esiste | non funziona | non si apre | non risponde",
        "è vuota | nie ładuje | nie istnieje | nie działa | nie odpowiada | nie ma takiej",
        "jest pusta | ne répond pas | n a pas chargé | n a pas fonctionné | ne fonctionne pas",
        "ne se charge pas | ne charge pas | ne s ouvre pas | est vide | hors service | ist leer",
        "is leeg | doet het niet | 加载失败 | 打开失败 | 超时 | 读取失败 | 読み込め",
        "読み込みに失敗 | 開けません | 失敗しました | エラーが発生 | 불러오지 못 | 오류가 발생",
        "열리지 않 | not connect | connection refused | connection error | connection reset",
        "connection failed | maintenance | cut off | unreachable | not reachable | 404 | 502 | 503",
        "504 | bad gateway | service unavailable | internal error | timeout while | timeout of",
        "timeout after | timeout on | time out while | button is disabled | something went wrong",
        "an error occurred",
    )
    BROKEN_PART = _of(
        "page* | file | posting | site | website | link | server | element* | navigation | task",
        "extraction | widget | search* | request | scraping | goal | browser | product | listing",
        "url | agent | result* | calendar | picker | selector | content | steps | net | attempt*",
        "menu | button | data | document | tab | table | list | form | video | image | window",
        "popup | chart | página | sitio | pagina | sito | seite | strona | strony | stronie",
        "enlace | lien | 页面 | 网页 | 网站 | ページ | サイト | 페이지 | 사이트 | connection",
        "something | that s",
    )
    #: Where it was looked for.
    HERE = _of(
        "on the page | on this page | on the site | on this site | on the website",
        "on this website | on that page | auf der seite | auf dieser seite | auf der website",
        "sur la page | sur cette page | sur le site | dans la page | en la página | en esta página",
        "en el sitio | na página | nesta página | no site | nella pagina | sulla pagina",
        "in questa pagina | sul sito | op de pagina | op deze pagina | op de site | na stronie",
        "na tej stronie | ページに | ページには | 页面上 | 页面中 | 网页上 | 페이지에 | 페이지에는",
        "at this address | at this url | at this link | under this link | at the given",
        "at that address | in the document | in the text provided | in the provided | in the page",
        "unter dieser adresse | à cette adresse | en esta dirección | neste endereço",
        "a questo indirizzo | op dit adres | pod tym adresem | このページ | 此页面 | 该页面",
        "이 페이지",
    )
    NEGATION = _of(
        "no | not | isn t | aren t | wasn t | doesn t | none | nothing | nowhere | nicht | kein*",
        "nichts | pas | aucun* | rien | ningún | ninguna | não | nenhum* | nada | non | nessun*",
        "niente | niet | geen | niets | nie | brak | ない | ありません | なかった | 没有 | 没 | 无",
        "未 | 없 | cannot | can t | couldn t | won t | didn t | don t | haven t | never | unable",
        "n ai | n a | 未能 | 无法 | 못",
    )
    #: Not to be found on the page.
    ABSENT = _of(
        "not appear | doesn t appear | not contain | doesn t contain | not include",
        "doesn t include | not mention* | doesn t mention | not list* | doesn t list | not on the",
        "not on this | isn t on | aren t on | nowhere on | nowhere to | is absent | are absent",
        "is missing | are missing | not shown | isn t shown | not displayed | not available",
        "isn t available | not present | isn t present | not visible | no such | not given",
        "not provided | not stated | not published | not found | no relevant | no matching",
        "no information | no data | no details | no pricing | not specified | no mention",
        "isn t there | not there | no trace | nothing relevant | no price | no results",
        "nicht vorhanden | nicht angegeben | nicht aufgeführt | nicht zu finden | nicht enthalten",
        "ne figure pas | ne mentionne pas | não aparece | não consta | non compare",
        "non è presente | staat niet | niet vermeld | brak informacji | brak danych",
        "記載がありません | 記載されていません | 没有提供 | 未提供 | 없습니다 | 信息不存在",
        "n affiche | ne montre | n indique | ne donne | no muestra | no indica | no menciona",
        "no ofrece | no figura | não mostra | não indica | não traz | non mostra | non indica",
        "non riporta | non è indicat* | zeigt kein* | enthält kein* | nennt kein* | toont geen",
        "bevat geen | vermeldt geen | nie pokazuje | nie podaje | doesn t say | not say",
        "doesn t give | not give | doesn t show | doesn t state | not state | not clear | unclear",
        "introuvable* | inexistant* | doesn t tell | no contiene | no incluye | não contém",
        "non contiene | nie zawiera | ne contient pas | no article | no content | no entry",
        "no record | 不包含",
    )
    MATTER = _of(
        "page | file | site | website | url | document | text | information | data | details",
        "anywhere | requested | field | fields | price | product | content | provided | seite",
        "angaben | información | dato | página | informaç* | dado* | informazioni | dati | pagina",
        "informatie | gegevens | stronie | strony | informacj* | ページ | 情報 | 页面 | 信息",
        "페이지 | 정보 | pricing | listed | task | request",
    )

    # ---- what speaks against it ----

    #: Others than the visitor, or what is told in general.
    ABOUT = _of(
        "article explain* | explains | explain | describes | describe | discusses | teaches",
        "compares | argues | how to | according to | documentation | the update | new version",
        "neuen version | lets | such as | designed to | tells of | helps you | guide | tutorial",
        "means | many websites | we deny | novel | thriller | when a | when the | when you",
        "is returned if | after three | after five | researchers | study | headline | a user",
        "applicants | citizens | the author | the post | the film | passengers | dogs",
        "the company | startup | the speaker | the senator | released | release | fixes | fixed",
        "bug | erklärt | beschreibt | anleitung | hunde | explique | décrit | chiens | explica",
        "perros | companies | the court | shows how | the talk | scrapers",
    )
    #: Others than the visitor.
    OTHERS = _of(
        "users | visitors | customers | people | admins | developers | administrators | a person",
        "clients | readers | nutzer | besucher | kunden | utilisateurs | visiteurs | usuarios",
        "visitantes | usuários | utenti | gebruikers | guests",
    )
    #: Only where something is so.
    CONDITION = _of(
        "if you | wenn sie | falls sie | si vous | si tienes | se você | se hai | als je | jeśli",
        "もし | 如果 | 만약 | if the | if it | if present | if this | if a | if an | whether the",
    )
    #: It is not so, or does not matter.
    OPEN = _of(
        "no login | no log in | no sign in | no account is | no account needed",
        "no account required | not required | not needed | without a login | without login",
        "without logging | without signing | without creating | without an account | optional",
        "was solved | solved it | ohne anmeldung möglich | keine anmeldung | sans inscription",
        "sans connexion | sin registro | sin iniciar | no hace falta | não é necessário",
        "non è necessari* | niet nodig | nie jest wymagan* | 不要 | 无需 | 不需要 | 필요 없",
        "불필요 | supported | is free | gratuit* | can check out | guest checkout",
    )
    #: An answer comes after all.
    BUT = _of(
        "but | however | aber | jedoch | mais | pero | sin embargo | mas | porém | ma | però",
        "maar | ale",
    )


# ---- pages by their titles ----

BOT_TITLES = _of(
    "please stand by | einen moment bitte | einen augenblick bitte | un instant",
    "un momento por favor | um momento | un momento | just a moment | attention required",
    "access denied | denied | forbidden | 403 | 403 forbidden | error 403 | error 403 forbidden",
    "403 error | pardon our interruption | one more step | blocked | access restricted",
    "access blocked | access forbidden | access is forbidden | access is denied",
    "access has been denied | hold on a second | are you human | are you a human | are you a robot",
    "bot or not | robot check | robot or human | security check | security checkpoint | bot check",
    "bot detection | captcha | recaptcha | hcaptcha | human verification | security verification",
    "bot verification | ddos guard | you have been blocked | sorry you have been blocked",
    "the request could not be satisfied | error the request could not be satisfied",
    "too many requests | 429 too many requests | request blocked | request unsuccessful",
    "access to this page has been denied | not available in your country",
    "not available in your region | not available in your location | unusual activity",
    "unusual traffic | age verification | content not available in your region",
    "checking your browser | zugriff verweigert | zugriff gesperrt | zugriff blockiert",
    "zugang verweigert | ungewöhnlicher datenverkehr | sicherheitsüberprüfung | sicherheitsprüfung",
    "sind sie ein mensch | altersprüfung | zu viele anfragen | accès refusé | accès interdit",
    "accès bloqué | êtes vous un robot | contrôle de sécurité | vérification de sécurité",
    "acceso denegado | acceso bloqueado | acceso restringido | comprobación de seguridad",
    "verificación de seguridad | acesso negado | acesso bloqueado | acesso restrito",
    "verificação de segurança | accesso negato | accesso bloccato | controllo di sicurezza",
    "toegang geweigerd | toegang ontzegd | geen toegang | odmowa dostępu | dostęp zabroniony",
    "brak dostępu | アクセスが拒否されました | アクセス拒否 | アクセスが制限されています",
    "访问被拒绝 | 拒绝访问 | 禁止访问 | 安全验证 | 人机验证 | 접근이 거부되었습니다 | 접근 거부",
    "접근이 제한되었습니다 | 액세스 거부",
)
LOGIN_TITLES = _of(
    "회원가입이 필요합니다 | 로그인이 필요합니다 | ログインが必要です | 需要登录 | 请先登录",
    "会員登録が必要です | create your free account | create your account | create account",
    "sign up | join now | join for free | register now | log in | login | sign in",
    "log in required | login required | sign in required | authentication required | member login",
    "customer login | please log in | please sign in | sign in to your account",
    "log in to your account | log in or sign up | sign up or log in | login page | sign in page",
    "members area | members only | subscribers only | create an account | session expired",
    "unauthorized | 401 unauthorized | welcome please log in | anmelden | anmeldung",
    "anmeldung erforderlich | einloggen | bitte anmelden | bitte einloggen | kundenlogin",
    "bitte melden sie sich an | mitgliederbereich | se connecter | connexion | connexion requise",
    "connectez vous | hace falta iniciar sesión | es necesario iniciar sesión | anmeldung nötig",
    "identifiez vous | espace membre | espace client | iniciar sesión | inicia sesión",
    "inicie sesión | identifícate | acceso clientes | entrar | fazer login | faça login",
    "iniciar sessão | accedi | area riservata | effettua il login | inloggen",
    "log in om verder te gaan | zaloguj się | logowanie | ログイン | サインイン | 会員限定 | 登录",
    "请登录 | 用户登录 | 로그인 | 회원 전용",
)

#: An answer to a question that was asked.
ANSWERS = ("yes", "no", "ja", "nein", "oui", "non", "sí", "si", "não", "sim", "nee", "tak", "nie")
