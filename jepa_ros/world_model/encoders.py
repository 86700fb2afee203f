"""Image encoders: one latent token per frame.

Both take uint8 RGB frames (B, h, w, 3) and return latents (B, D). No batch statistics inside, so that one frame
encodes to the same latent alone, in a batch, in training and on the robot.
"""

import torch
from torch import Tensor, nn

from jepa_ros.errors import JepaError


def to_input(images: Tensor) -> Tensor:
    """(B, h, w, 3) uint8 -> (B, 3, h, w) float32 in [-1, 1], channels_last in memory (a view, no copy of the order)."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)


class ConvEncoder(nn.Module):
    """Four stride-2 convolutions and a linear map; for small images (64x64: 0.5 ms a frame on one CPU core).

    The flattened feature map keeps where things are, which a pooled one loses: the pose is all about where.
    """

    CHANNELS = (32, 64, 96, 128)

    def __init__(self, image_size: tuple[int, int], latent_dim: int):
        super().__init__()
        height, width = image_size
        if height % 16 or width % 16:
            raise JepaError(f"encoder 'conv' needs an image size divisible by 16, got {height}x{width}")
        layers, channels = [], 3
        for out in self.CHANNELS:
            layers += [nn.Conv2d(channels, out, kernel_size=4, stride=2, padding=1), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(channels * (height // 16) * (width // 16), 256),
            nn.LayerNorm(256),
            nn.SiLU(),
            nn.Linear(256, latent_dim),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 -> (B, D)."""
        return self.head(self.features(to_input(images)).flatten(1))


class ViTEncoder(nn.Module):
    """ViT-tiny (Dosovitskiy et al., 2021; width 192, 12 layers, 3 heads, patch 16) with a class token, for larger images."""

    def __init__(
        self,
        image_size: tuple[int, int],
        latent_dim: int,
        patch: int = 16,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
    ):
        super().__init__()
        height, width_px = image_size
        if height % patch or width_px % patch:
            raise JepaError(
                f"encoder 'vit_tiny' needs an image size divisible by {patch}, got {height}x{width_px}"
            )
        patches = (height // patch) * (width_px // patch)
        self.patchify = nn.Conv2d(3, width, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, patches + 1, width))
        nn.init.trunc_normal_(self.position, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(
            layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, latent_dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 -> (B, D)."""
        tokens = self.patchify(to_input(images)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.position
        return self.head(self.blocks(tokens)[:, 0])


ENCODERS = {"conv": ConvEncoder, "vit_tiny": ViTEncoder}


def build_encoder(name: str, image_size: tuple[int, int], latent_dim: int) -> nn.Module:
    """The encoder called ``name`` in ENCODERS; JepaError for an unknown name or an image size that it cannot take."""
    if name not in ENCODERS:
        raise JepaError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    return ENCODERS[name](image_size, latent_dim)
