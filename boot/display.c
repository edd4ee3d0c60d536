// SPDX-License-Identifier: MIT
// Which display the machine was left with: VGA text, a framebuffer of direct colours or of 256 from
// a palette, or none.

#include "boot.h"
#include "multiboot.h"

#define BIOS_DATA_VIDEO_MODE 0x449u
#define VGA_TEXT             0xB8000u

static void SetText(LOADER_DISPLAY *Display)
{
    *Display = (LOADER_DISPLAY){
        .Base = VGA_TEXT, .Type = LoaderDisplayText, .Pitch = 160, .Width = 80, .Height = 25,
        .BitsPerPixel = 16,
    };
}

static BOOLEAN IsFieldSane(ULONG Position, ULONG Size, ULONG BitsPerPixel)
{
    return Size >= 1 && Size <= 16 && Position + Size <= BitsPerPixel;
}

static BOOLEAN AreColorsSane(const LOADER_DISPLAY *Display)
{
    return IsFieldSane(Display->RedPosition, Display->RedSize, Display->BitsPerPixel) &&
           IsFieldSane(Display->GreenPosition, Display->GreenSize, Display->BitsPerPixel) &&
           IsFieldSane(Display->BluePosition, Display->BlueSize, Display->BitsPerPixel);
}

// What nearly every display has. Swapped colours are better than a dark screen.
static void SetUsualColors(LOADER_DISPLAY *Display)
{
    BOOLEAN True = Display->BitsPerPixel >= 24;

    Display->RedPosition = True ? 16 : 11;
    Display->GreenPosition = True ? 8 : 5;
    Display->BluePosition = 0;
    Display->RedSize = Display->BlueSize = True ? 8 : 5;
    Display->GreenSize = True ? 8 : 6;
}

// TRUE if Display describes a picture that can be drawn.
static BOOLEAN IsPictureSane(const LOADER_DISPLAY *Display)
{
    ULONG Bytes = (Display->BitsPerPixel + 7) / 8;

    return Display->Base != 0 && Display->Base < BOOT_MAX_PHYSICAL &&
           (Bytes >= 2 || Display->BitsPerPixel == 8) && Bytes <= 4 && Display->Width >= 8 &&
           Display->Width <= 32768 && Display->Height >= 16 && Display->Height <= 32768 &&
           Display->Pitch >= Display->Width * Bytes && Display->Pitch <= 0x100000;
}

static void SetColors(LOADER_DISPLAY *Display, const MULTIBOOT_FRAMEBUFFER *Given)
{
    Display->RedPosition = Given->RedPosition;
    Display->RedSize = Given->RedSize;
    Display->GreenPosition = Given->GreenPosition;
    Display->GreenSize = Given->GreenSize;
    Display->BluePosition = Given->BluePosition;
    Display->BlueSize = Given->BlueSize;
    if (!AreColorsSane(Display))
        SetUsualColors(Display);
}

// A loader's palette is of no interest: the kernel sets its own, for 256 colours.
static void SetPicture(LOADER_DISPLAY *Display, const MULTIBOOT_FRAMEBUFFER *Given)
{
    BOOLEAN Indexed = Given->Type == MULTIBOOT_FRAMEBUFFER_INDEXED;

    *Display = (LOADER_DISPLAY){
        .Base = Given->Address, .Type = LoaderDisplayFramebuffer, .Pitch = Given->Pitch,
        .Width = Given->Width, .Height = Given->Height, .BitsPerPixel = Given->BitsPerPixel,
    };
    if (!Indexed)
        SetColors(Display, Given);
    if (!IsPictureSane(Display) || Indexed != (Display->BitsPerPixel == 8))
        *Display = (LOADER_DISPLAY){ .Type = LoaderDisplayNone };
}

// Takes what the loader said about the display, Length bytes of it; what makes no sense counts as
// no display. Text mode is taken only as the 80 by 25 cells at 0xB8000 that every VGA starts with.
void BootSetFramebuffer(PLOADER_BLOCK Block, const MULTIBOOT_FRAMEBUFFER *Given, ULONG Length)
{
    if (Given->Type == MULTIBOOT_FRAMEBUFFER_RGB && Length >= sizeof(*Given))
        SetPicture(&Block->Display, Given);
    if (Given->Type == MULTIBOOT_FRAMEBUFFER_INDEXED)
        SetPicture(&Block->Display, Given);
    if (Given->Type == MULTIBOOT_FRAMEBUFFER_TEXT && Given->Address == VGA_TEXT)
        SetText(&Block->Display);
}

// For a loader that says nothing about the display: a BIOS keeps the video mode in its data area,
// and zero stands there where no VGA BIOS ran.
void BootSetDefaultDisplay(PLOADER_BLOCK Block)
{
    const UCHAR *Mode = BootMap(BIOS_DATA_VIDEO_MODE, 1);

    if (Block->EfiSystemTable == 0 && Mode && (*Mode == 2 || *Mode == 3))
        SetText(&Block->Display);
}
