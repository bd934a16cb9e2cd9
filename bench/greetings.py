"""What is heard on calling people and machines: texts for voices, and prompts spoken by people.

Written before anything was measured with them, after what people, carriers and offices say. The
lists of phrases in `src/chorus/languages/` were written by the same hand: that makes the benchmark
kinder than the world is, and is said where its result stands.
"""

from __future__ import annotations

PEOPLE: dict[str, tuple[str, ...]] = {
    "en": (
        "Hello?",
        "Hello.",
        "Yes?",
        "Hi, this is Bob.",
        "Hello, Miller speaking.",
        "Hello? Who is this?",
        "Yeah, hello?",
        "Good morning.",
        "Speaking.",
        "This is Sarah.",
        "Hey, what's up?",
        "Hello, can you hear me?",
        "Hi there, how are you?",
        "Sorry, who's calling?",
        "Good afternoon, Miller and Sons, how can I help you?",
        "Thanks for calling Joe's Pizza, this is Mike, what can I get for you?",
        "Good morning, Acme Dental, this is Julie speaking, how may I help you today?",
        "Hello, front desk, Anna speaking.",
        "Grand Hotel reception, good evening, how may I direct your call?",
        "Hi, you've reached the garden shop, this is Tom, how can I help?",
        "Just a second please. Okay, hello?",
        "Hello, mom, I told you I can't talk right now, I am at work.",
        "Yes, this is he.",
        "Hold on, let me turn down the radio. Hello?",
    ),
    "de": (
        "Hallo?",
        "Ja bitte?",
        "Müller.",
        "Schmidt, guten Tag.",
        "Praxis Doktor Weber, Sie sprechen mit Frau Klein, was kann ich für Sie tun?",
        "Firma Huber, mein Name ist Berger, wie kann ich Ihnen helfen?",
        "Ja, hallo, wer ist da?",
        "Guten Morgen.",
    ),
    "es": (
        "¿Diga?",
        "¿Bueno?",
        "Hola, ¿quién habla?",
        "Sí, dígame.",
        "Buenos días, clínica dental, le atiende María, ¿en qué puedo ayudarle?",
        "Hola, soy Carlos.",
    ),
    "fr": (
        "Allô?",
        "Oui, bonjour?",
        "Allô, c'est qui?",
        "Cabinet du docteur Martin, bonjour, que puis-je faire pour vous?",
        "Bonjour, Sophie à l'appareil.",
        "Oui, je vous écoute.",
    ),
    "it": (
        "Pronto?",
        "Pronto, chi parla?",
        "Sì?",
        "Studio dentistico Rossi, buongiorno, come posso aiutarla?",
        "Buonasera, sono Marco.",
        "Pronto, mi dica.",
    ),
    "ru": (
        "Алло?",
        "Да, слушаю.",
        "Здравствуйте, кто это?",
        "Клиника здоровье, меня зовут Анна, чем могу помочь?",
        "Алло, я вас слушаю.",
        "Да?",
    ),
}

MAILBOXES: dict[str, tuple[str, ...]] = {
    "en": (
        "Hi, you've reached Bob. I can't come to the phone right now, please leave a message after "
        "the beep.",
        "Hello, this is Sarah. I'm not available at the moment. Leave your name and number and "
        "I'll get back to you.",
        "Your call has been forwarded to an automatic voice message system. 5 5 5 1 2 3 4 is not "
        "available. At the tone, please record your message.",
        "The person you are trying to reach is not available. Please leave a message after the "
        "tone.",
        "You have reached the voicemail of Anna Smith. Please leave a message.",
        "Hey, it's Mike. You know what to do. Leave a message.",
        "Thank you for calling Miller and Sons. Our office is closed. Please leave a message after "
        "the tone.",
        "Hi. Sorry I missed your call. Leave me a message and I will call you back.",
        "Hello. You've reached the Johnsons. We're not home right now. Please leave a message.",
        "Welcome to the message center. Please leave your message at the tone.",
        "This is Doctor Lee. I am away from my phone until Monday. Please leave your name, number "
        "and a brief message.",
        "Please leave your message after the tone. When you have finished recording, you may hang "
        "up or press one for more options.",
    ),
    "de": (
        "Guten Tag, Sie sind verbunden mit der Mailbox von Anna Schmidt. Bitte hinterlassen Sie "
        "eine Nachricht nach dem Signalton.",
        "Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar. Bitte sprechen Sie nach dem "
        "Ton.",
        "Hallo, hier ist der Anrufbeantworter von Familie Müller. Wir sind gerade nicht da.",
        "Hier ist Peter. Ich bin gerade nicht erreichbar, rufe aber gern zurück.",
    ),
    "es": (
        "Hola, soy Carlos. En este momento no puedo atender. Deja tu mensaje después de la señal.",
        "Ha llamado al buzón de voz. Por favor, deje su mensaje después del tono.",
        "La persona a la que está llamando no está disponible. Grabe su mensaje.",
    ),
    "fr": (
        "Bonjour, vous êtes bien sur la messagerie de Sophie. Laissez un message après le bip.",
        "Votre correspondant n'est pas disponible. Veuillez laisser un message après le signal.",
        "Salut, c'est Paul. Je ne peux pas vous répondre. Laissez-moi un message.",
    ),
    "it": (
        "Risponde la segreteria telefonica di Marco. Lasciate un messaggio dopo il segnale.",
        "La persona chiamata non è al momento disponibile. Lasci un messaggio dopo il bip.",
        "Ciao, sono Anna. In questo momento non posso rispondere, ti richiamerò.",
    ),
    "ru": (
        "Здравствуйте, вы позвонили Ивану. Я не могу ответить. Оставьте сообщение после сигнала.",
        "Абонент недоступен. Пожалуйста, оставьте сообщение после звукового сигнала.",
        "Вас приветствует автоответчик. Говорите после гудка.",
    ),
}

UNAVAILABLE: dict[str, tuple[str, ...]] = {
    "en": (
        "The mailbox is full and cannot accept any messages at this time. Goodbye.",
        "The number you have dialed is not in service. Please check the number and try again.",
        "The person you are calling has a voicemail box that has not been set up yet. Goodbye.",
        "Your call cannot be completed as dialed.",
    ),
    "de": ("Kein Anschluss unter dieser Nummer.", "Die Mailbox ist voll. Auf Wiederhören."),
}

MENUS: dict[str, tuple[str, ...]] = {
    "en": (
        "Thank you for calling Acme. For sales, press one. For support, press two. For anything "
        "else, stay on the line.",
        "Welcome to First Bank. Para español, oprima el nueve. Please enter your account number.",
        "Please listen carefully, as our menu options have changed. For billing, press 1.",
        "Thank you for calling. If you know your party's extension, you may dial it at any time.",
        "This call may be recorded for quality. Please say or press one for English.",
        "All of our representatives are currently busy. Please stay on the line and your call will "
        "be answered in the order it was received.",
    ),
    "de": (
        "Willkommen bei der Stadtbank. Für Fragen zu Ihrem Konto drücken Sie die Eins.",
        "Alle Mitarbeiter sind im Gespräch. Der nächste freie Mitarbeiter ist für Sie da.",
    ),
    "es": ("Bienvenido a Banco Sol. Para ventas, marque uno. Para soporte, marque dos.",),
    "fr": ("Bienvenue chez Orange. Pour le service commercial, tapez un.",),
    "it": ("Benvenuti. Per informazioni commerciali, prema uno. Per assistenza, prema due.",),
    "ru": ("Добро пожаловать. Для связи с отделом продаж нажмите один.",),
}

SCREENINGS: dict[str, tuple[str, ...]] = {
    "en": (
        "Hi, if you record your name and reason for calling, I'll see if this person is available.",
        "Please state your name and why you're calling, and I will check if the person is "
        "available.",
        "Hi, the person you're calling is using a screening service. Go ahead and say your name "
        "and why you're calling.",
        "Before I try to connect you, please say your name after the tone.",
    ),
    "de": ("Bitte nennen Sie Ihren Namen und den Grund Ihres Anrufs.",),
}

# Spoken by people (Debian's asterisk-core-sounds): files that are played one after the other.
RECORDED: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "person": {"en": (("hello",),)},
    "mailbox": {
        "*": (
            ("vm-theperson", "digits/4", "digits/2", "digits/1", "vm-isunavail", "vm-intro"),
            ("vm-theperson", "digits/7", "digits/0", "vm-isonphone", "vm-intro"),
            ("vm-nobodyavail", "vm-intro"),
            ("vm-intro",),
        ),
    },
    "menu": {
        "*": (("dir-intro",), ("conf-getpin",), ("agent-user",), ("pbx-invalid",)),
        "en": (("queue-periodic-announce",), ("vm-opts",), ("enter-ext-of-person",)),
    },
    "unavailable": {
        "*": (("ss-noservice",), ("cannot-complete-as-dialed", "check-number-dial-again")),
        "en": (("all-circuits-busy-now",), ("privacy-unident",), ("number-not-answering",)),
    },
    "screening": {"*": (("priv-recordintro",),)},
}
