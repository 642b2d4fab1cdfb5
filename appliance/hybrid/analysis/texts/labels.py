"""What kind of event a text tells of, by its words. Pure; a table of stems in the languages that machines and those who set them up speak.

A stem stands for each word that begins with it; ``=`` before it for that word alone. Words are compared without case and accents, and words
in CamelCase or put together with signs are taken apart.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ERROR: Final = "error"
WARNING: Final = "warning"
SECURITY: Final = "security"
HARDWARE: Final = "hardware"
STORAGE: Final = "storage"
NETWORK: Final = "network"
LIFECYCLE: Final = "start/stop"
INFO: Final = "info"
LABELS: Final = (SECURITY, HARDWARE, STORAGE, NETWORK, ERROR, WARNING, LIFECYCLE, INFO)
"""In the order in which they are looked for: what it is about before how bad it is, which ``gravity`` says."""
_STEMS: Final[dict[str, str]] = {
    SECURITY: """auth login logon logoff logout password passwd passphrase credential =user unauthori intrus attack firewall permission
        privilege sudo =su =ssh =sshd =pam certificate denied forbidden selinux =audit malware virus breach =break-in brute kerberos
        anmeld passwort kennwort zugriff berechtig verweigert interdit contrasena acceso denegad =senha парол доступ 密码 认证""",
    HARDWARE: """hardware temperature thermal overheat =fan =psu =cpu voltage =volt =ecc =dimm parity =memory =ram =bios =firmware sensor
        battery =power =usb =pci =pcie =mce machine-check =acpi =irq gpio watchdog throttl bearing vibration
        temperatur luefter lufter spannung capteur ventilateur ventilador sobrecalent bateria batterie температур 温度 硬件""",
    STORAGE: """=disk disks =drive filesystem =btrfs =xfs =nvme =raid =inode =smart mount unmount =fsck =partition =volume =block =blocks
        =blk storage datanode replica snapshot =quota =scsi =sector festplatte dateisystem speicherplatz disque disco =диск 磁盘""",
    NETWORK: """network socket connect disconnect =dns dhcp =tcp =udp =ip =port =ping =link =eth =wlan =wifi =bssid =ssid proxy =route
        routing gateway interface packet timeout =timed unreachable hostname =http =https =tls =ssl =mqtt bluetooth ethernet
        netzwerk verbindung verbunden schnittstelle reseau connexion conexion сеть соединен 网络 连接""",
    ERROR: """error =err fail fatal critical exception panic crash abort corrupt severe emerg =alert cannot =can't unable invalid illegal
        traceback =oops segfault killed broken lost refused fault =nok alarm
        storung stoerung defekt averia =panne
        fehler gescheitert fehlgeschlagen abgebrochen absturz ungultig ungueltig erreur echec echoue defaillan fallo fallid errore falha
        ошибк сбой 错误 失败 失敗 異常 エラー 오류 실패 خطأ שגיאה""",
    WARNING: """warn =retry retrying retries deprecat =slow delay exceed threshold degrad =low =high overload expired expir =full missing
        drop ignor unexpected unknown
        warnung achtung uberschritten ueberschritten avertissement attention advertencia aviso предупрежд 警告 경고 تحذير""",
    LIFECYCLE: """start stop shutdown startup restart =boot booting reboot =init initializ initialis =halt terminat launch exit =exited
        finish complet begin =up =down running ready load unload register transition open clos creat delet session
        gestartet beendet neustart herunterfahr demarr arret reinici arranqu deten запущ останов 启动 停止""",
}
"""Label -> stems. Those of scripts without spaces between words are looked for anywhere in the text."""
_APART: Final = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_SPACES: Final = 0x3000
"""From here on scripts put no spaces between words."""
_CALM: Final = frozenset(("no", "0", "without", "ohne", "sans", "sin", "kein", "keine", "corrected", "succeeded", "successfully"))
"""Words beside which an error is none: "0 errors", "completed without error"."""


def classify(text: str) -> str:
    """One of ``LABELS``. Of several the earlier; a text without any known word is ``info``."""
    words = _words(text)
    return next((label for label in LABELS[:-1] if _says(label, words, text)), INFO)


def gravity(text: str) -> float:
    """How bad it sounds, 0 to 1: 1 error, 0.6 warning, 0.2 anything else."""
    words = _words(text)
    wrong = _says(ERROR, words, text)
    if wrong and not words & _CALM:
        return 1.0
    return 0.6 if wrong or _says(WARNING, words, text) else 0.2


def _says(label: str, words: frozenset[str], text: str) -> bool:
    exact, stems, anywhere = _TABLE[label]
    return not words.isdisjoint(exact) or any(word.startswith(stems) for word in words) or any(part in text for part in anywhere)


def _words(text: str) -> frozenset[str]:
    parts = (part for match in _APART.finditer(_CAMEL.sub(" ", text)) for part in _with_parts(match.group()))
    return frozenset(_folded(part) for part in parts) | frozenset(word for word in text.split() if word == "0")


def _with_parts(word: str) -> list[str]:
    return [word, *word.split("-")] if "-" in word else [word]


def _folded(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


def _table() -> dict[str, tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]]:
    table = {}
    for label, stems in _STEMS.items():
        anywhere = tuple(stem for stem in stems.split() if ord(stem[0]) >= _NO_SPACES)
        folded = [_folded(stem) for stem in stems.split() if stem not in anywhere]
        table[label] = frozenset(s[1:] for s in folded if s.startswith("=")), tuple(s for s in folded if not s.startswith("=")), anywhere
    return table


_TABLE: Final = _table()
