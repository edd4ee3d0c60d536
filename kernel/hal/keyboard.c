// SPDX-License-Identifier: MIT
// keyboard.c: a PS/2 keyboard, polled.
//
// The i8042 translates to scan code set 1, as firmware leaves it. Keys become the characters that a
// serial terminal would send: the arrows and their neighbours are escape sequences, so that the
// monitor's line editor needs to know one language only. US layout, which is what firmware speaks
// too.
//
// A machine without the controller answers 0xFF on its ports or nothing at all. Every wait is
// bounded, and the controller counts as absent as soon as one runs out.
#include "halp.h"

#define I8042_DATA                  0x60u
#define I8042_STATUS                0x64u  // read
#define I8042_COMMAND               0x64u  // write
#define STATUS_OUTPUT               0x01u  // a byte for us
#define STATUS_INPUT                0x02u  // the controller has not taken our last byte yet
#define STATUS_AUXILIARY            0x20u  // the byte is the mouse's
#define COMMAND_READ_CONFIGURATION  0x20u
#define COMMAND_WRITE_CONFIGURATION 0x60u
#define COMMAND_ENABLE_KEYBOARD     0xAEu
#define CONFIGURATION_KEYBOARD_OFF  0x10u
#define CONFIGURATION_TRANSLATE     0x40u
#define WAIT_LIMIT                  20000u  // status reads, each about a microsecond on hardware
#define FLUSH_LIMIT                 64u

#define SCAN_EXTENDED    0xE0u
#define SCAN_PAUSE       0xE1u
#define SCAN_RELEASE     0x80u
#define SCAN_CONTROL     0x1Du
#define SCAN_LEFT_SHIFT  0x2Au
#define SCAN_RIGHT_SHIFT 0x36u
#define SCAN_CAPS_LOCK   0x3Au

static const char HalpPlainKeys[] =
    "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char HalpShiftedKeys[] =
    "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

// Keys of the separate blocks; the keypad's send the same codes without the prefix.
static const struct {
    UCHAR Scan;
    const char *Text;
} HalpSequences[] = {
    {0x47, "\033[H"}, {0x48, "\033[A"}, {0x49, "\033[5~"}, {0x4B, "\033[D"},  {0x4D, "\033[C"},
    {0x4F, "\033[F"}, {0x50, "\033[B"}, {0x51, "\033[6~"}, {0x52, "\033[2~"}, {0x53, "\033[3~"},
};

static struct {
    BOOLEAN Present;
    BOOLEAN Shift, Control, CapsLock;
    BOOLEAN Extended;     // the last byte was the prefix
    UCHAR Ignore;         // bytes of the pause key still to come
    const char *Pending;  // the rest of an escape sequence
} HalpKeyboard;

static BOOLEAN I8042Wait(UCHAR Mask, UCHAR Value)
{
    for (ULONG i = 0; i < WAIT_LIMIT; i++) {
        UCHAR Status = KiInByte(I8042_STATUS);
        if (Status == 0xFF)
            return FALSE;
        if ((Status & Mask) == Value)
            return TRUE;
        KiPause();
    }
    return FALSE;
}

BOOLEAN HalpKeyboardController(UCHAR Command)
{
    if (!I8042Wait(STATUS_INPUT, 0))
        return FALSE;
    KiOutByte(I8042_COMMAND, Command);
    return TRUE;
}

static BOOLEAN INIT_CODE I8042Flush(VOID)
{
    for (ULONG i = 0; i < FLUSH_LIMIT; i++) {
        UCHAR Status = KiInByte(I8042_STATUS);
        if (Status == 0xFF)
            return FALSE;
        if (!(Status & STATUS_OUTPUT))
            return TRUE;
        KiInByte(I8042_DATA);
    }
    return FALSE;
}

// Firmware has set the controller up; only what would keep a key from arriving translated is put
// right.
static BOOLEAN INIT_CODE I8042Configure(VOID)
{
    if (!HalpKeyboardController(COMMAND_READ_CONFIGURATION) ||
        !I8042Wait(STATUS_OUTPUT, STATUS_OUTPUT))
        return FALSE;
    UCHAR Old = KiInByte(I8042_DATA);
    UCHAR New = (UCHAR)((Old | CONFIGURATION_TRANSLATE) & ~CONFIGURATION_KEYBOARD_OFF);
    if (New == Old)
        return TRUE;
    if (!HalpKeyboardController(COMMAND_WRITE_CONFIGURATION) || !I8042Wait(STATUS_INPUT, 0))
        return FALSE;
    KiOutByte(I8042_DATA, New);
    return HalpKeyboardController(COMMAND_ENABLE_KEYBOARD);
}

VOID INIT_CODE HalpKeyboardInitialize(VOID)
{
    HalpKeyboard.Present = I8042Flush() && I8042Configure();
}

BOOLEAN HalpKeyboardPresent(VOID)
{
    return HalpKeyboard.Present;
}

// ---- scan codes ---------------------------------------------------------------------------------
static int HalpStartSequence(UCHAR Scan)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpSequences); i++) {
        if (HalpSequences[i].Scan == Scan) {
            HalpKeyboard.Pending = HalpSequences[i].Text + 1;
            return HalpSequences[i].Text[0];
        }
    }
    return -1;
}

static int HalpTranslateKey(UCHAR Scan)
{
    if (Scan >= sizeof(HalpPlainKeys) - 1)
        return HalpStartSequence(Scan);
    char Plain = HalpPlainKeys[Scan];
    BOOLEAN Letter = Plain >= 'a' && Plain <= 'z';
    BOOLEAN Shift = HalpKeyboard.Shift != (Letter && HalpKeyboard.CapsLock);
    char Character = Shift ? HalpShiftedKeys[Scan] : Plain;
    if (HalpKeyboard.Control)
        Character = Letter ? (char)(Plain & 0x1F) : 0;
    return Character != 0 ? (UCHAR)Character : -1;
}

static int HalpExtendedKey(UCHAR Scan)
{
    if (Scan == 0x1C)  // the keypad's Enter
        return '\r';
    if (Scan == 0x35)  // the keypad's slash
        return '/';
    return HalpStartSequence(Scan);
}

// TRUE when the code is a shift state's and needs nothing more.
static BOOLEAN HalpTrackShift(UCHAR Scan, BOOLEAN Pressed, BOOLEAN Extended)
{
    if (Scan == SCAN_CONTROL)
        HalpKeyboard.Control = Pressed;
    else if (Scan == SCAN_LEFT_SHIFT || Scan == SCAN_RIGHT_SHIFT)
        HalpKeyboard.Shift =
            Extended ? HalpKeyboard.Shift : Pressed;  // extended: a fake shift around an arrow
    else if (Scan == SCAN_CAPS_LOCK)
        HalpKeyboard.CapsLock ^= Pressed;
    else
        return FALSE;
    return TRUE;
}

static int HalpScanCode(UCHAR Code)
{
    if (HalpKeyboard.Ignore > 0) {
        HalpKeyboard.Ignore--;
        return -1;
    }
    if (Code == SCAN_EXTENDED || Code == SCAN_PAUSE) {
        HalpKeyboard.Extended = Code == SCAN_EXTENDED;
        HalpKeyboard.Ignore = Code == SCAN_PAUSE ? 5 : 0;
        return -1;
    }
    BOOLEAN Extended = HalpKeyboard.Extended, Pressed = !(Code & SCAN_RELEASE);
    UCHAR Scan = Code & 0x7F;
    HalpKeyboard.Extended = FALSE;
    if (HalpTrackShift(Scan, Pressed, Extended) || !Pressed)
        return -1;
    return Extended ? HalpExtendedKey(Scan) : HalpTranslateKey(Scan);
}

int HalpKeyboardRead(VOID)
{
    if (!HalpKeyboard.Present)
        return -1;
    if (HalpKeyboard.Pending != NULL && *HalpKeyboard.Pending != '\0')
        return *HalpKeyboard.Pending++;
    for (ULONG i = 0; i < FLUSH_LIMIT; i++) {
        UCHAR Status = KiInByte(I8042_STATUS);
        if (!(Status & STATUS_OUTPUT) || Status == 0xFF)
            return -1;
        UCHAR Code = KiInByte(I8042_DATA);
        int Character = Status & STATUS_AUXILIARY ? -1 : HalpScanCode(Code);
        if (Character >= 0)
            return Character;
    }
    return -1;
}
