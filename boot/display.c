// SPDX-License-Identifier: MIT
// Which display the machine was left with.

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

// TRUE if Display describes a picture that can be drawn.
static BOOLEAN IsFramebufferSane(const LOADER_DISPLAY *Display)
{
    ULONG Bits = Display->BitsPerPixel, Bytes = (Bits + 7) / 8;

    return Display->Base != 0 && Bytes >= 2 && Bytes <= 4 && Display->Width >= 8 &&
           Display->Height >= 16 && Display->Width <= 32768 && Display->Height <= 32768 &&
           Display->Pitch >= Display->Width * Bytes && Display->Pitch <= 0x100000 &&
           IsFieldSane(Display->RedPosition, Display->RedSize, Bits) &&
           IsFieldSane(Display->GreenPosition, Display->GreenSize, Bits) &&
           IsFieldSane(Display->BluePosition, Display->BlueSize, Bits);
}

// Takes what the loader said about the display; what makes no sense counts as no display. Text mode
// is taken only as the 80 by 25 cells at 0xB8000 that every VGA starts with.
void BootSetFramebuffer(PLOADER_BLOCK Block, const MULTIBOOT_FRAMEBUFFER *Given,
                        const MULTIBOOT_COLOR *Color)
{
    LOADER_DISPLAY Display = {
        .Base = Given->Address, .Type = LoaderDisplayFramebuffer, .Pitch = Given->Pitch,
        .Width = Given->Width, .Height = Given->Height, .BitsPerPixel = Given->BitsPerPixel,
        .RedPosition = Color->RedPosition, .RedSize = Color->RedSize,
        .GreenPosition = Color->GreenPosition, .GreenSize = Color->GreenSize,
        .BluePosition = Color->BluePosition, .BlueSize = Color->BlueSize,
    };

    Block->Display = (LOADER_DISPLAY){ .Type = LoaderDisplayNone };
    if (Given->Type == MULTIBOOT_FRAMEBUFFER_RGB && IsFramebufferSane(&Display))
        Block->Display = Display;
    if (Given->Type == MULTIBOOT_FRAMEBUFFER_TEXT && Given->Address == VGA_TEXT)
        SetText(&Block->Display);
}

// For a loader that says nothing about the display: a BIOS keeps the video mode in its data area, and
// zero stands there where no VGA BIOS ran.
void BootSetDefaultDisplay(PLOADER_BLOCK Block)
{
    const UCHAR *Mode = BootMap(BIOS_DATA_VIDEO_MODE, 1);

    if (Block->EfiSystemTable == 0 && Mode && (*Mode == 2 || *Mode == 3))
        SetText(&Block->Display);
}
