"""Architectures that cannot be imported, recognized by their parameter names for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ganvas.errors import RunError

KNOWN = (
    "known are ESRGAN, Real-ESRGAN, Compact and NAFNet, the reference's U-Net, residual generator, PatchGAN and "
    "PixelGAN, and CUT's generator"
)
UNKNOWN = "not those of a supported network"
TELLTALES: dict[str, tuple[str, ...]] = {
    # Restoration networks; more specific ones come before those with which they share names
    "HAT": (r"layers\.\d+\.residual_group\.overlap_attn\..*",),
    "ATD": (r"layers\.\d+\.residual_group\..*attn_atd\..*",),
    "CRAFT": (r"layers\.\d+\.residual_group\.hf_blocks\..*",),
    "SRFormer": (r"layers\.\d+\.residual_group\.blocks\.\d+\.attn\.aligned_relative_position_index",),
    "Swin2SR": (r"layers\.\d+\.residual_group\.blocks\.\d+\.attn\.logit_scale",),
    "SwinIR": (r"layers\.\d+\.residual_group\.blocks\.\d+\.attn\..*",),
    "DRCT": (r"layers\.\d+\.swin\d\..*", r"layers\.\d+\.adjust\d\..*"),
    "RGT": (r"before_RG\..*", r"layers\.\d+\.blocks\.\d+\.gamma"),
    "DAT": (r"before_RG\..*", r"layers\.\d+\.blocks\.\d+\.attn\..*interaction.*"),
    "GRL": (r"layers\.\d+\.blocks\.\d+\.attn\.(window|stripe)_attn\..*",),
    "OmniSR": (r"residual_layer\.\d+\.residual_layer\..*",),
    "SPAN": (r"block_\d+\.c\d_r\..*",),
    "RealPLKSR or PLKSR": (r"feats\.\d+\.lk\..*",),
    "SAFMN": (r"feats\.\d+\.(layers\.\d+\.)?safm\..*",),
    "MoSR": (r"gblocks\.\d+\..*",),
    "MoESR": (r"in_to_dim\..*", r"blocks\.\d+\..*"),
    "SeemoRe": (r"body\.\d+\.local_block\..*",),
    "FDAT": (r"groups\.\d+\.blocks\.\d+\.inter\..*",),
    "DITN": (r"UFONE\.\d+\..*",),
    "DCTLSA": (r"B\d\.body\.\d+\.transformer_body\..*",),
    "RetinexFormer": (r"body\.\d+\.(estimator|denoiser)\..*",),
    "RCAN": (r"body\.\d+\.body\.\d+\.body\.\d+\.conv_du\..*",),
    "EDSR": (r"head\.0\.weight", r"body\.\d+\.body\.\d+\.weight", r"tail\..*"),
    "MSRResNet, the SRResNet of BasicSR": (r"recon_trunk\..*|body\.\d+\.conv1\.weight", r"conv_first\..*"),
    "SPSR": (r"f_HR_conv1\.0\.weight",),
    "MM-RealSR": (r"body\.\d+\.rdb\d\..*", r"am_list\..*"),
    "Real-CUGAN": (r"unet1\..*", r"unet2\..*"),
    "FFTformer": (r"encoder_level1\.\d+\.ffn\.fft",),
    "KBNet": (r"encoder_level\d\.\d+\.attn\.(ga1|dwconv)\b.*|encoders\.\d+\.\d+\.attgamma",),
    "Restormer": (r"encoder_level1\.\d+\.attn\..*", r"refinement\..*"),
    "Uformer": (r"encoderlayer_0\.blocks\..*",),
    "MPRNet": (r"stage1_encoder\..*",),
    "NAFSSR, for pairs of stereo pictures": (r"body\.\d+\.(module\.)?blk\..*",),
    "M3SNet": (r"middle_ups\..*", r"encoders\.\d+\.\d+\.sca\..*"),
    "the Baseline of NAFNet": (r"encoders\.\d+\.\d+\.se\.\d\..*", r"intro\.weight"),
    "MIRNet": (r"(body|recon_trunk)\.\d+\.body\.\d+\.(dau_top|dau)\..*",),
    "SCUNet": (r"m_head\.0\.weight", r"m_tail\.0\.weight"),
    "FBCNN": (r"qf_pred\..*",),
    "DRUNet": (r"m_head\.weight", r"m_tail\.weight"),
    "DnCNN": tuple(rf"model\.{place}\.weight" for place in (0, 2, 4, 6, 8, 10, 12)),
    "IPT": (r"sub_mean\..*", r"head\.0\.0\.weight"),
    "LaMa": (r"(.*\.)?model\.\d+\.(ffc|bn_l)\..*",),
    "MAT": (r"(.*\.)?synthesis\.first_stage\..*",),
    "SwiftSRGAN": (r"initial\.cnn\.depthwise\..*",),
    "MixDehazeNet": (r"layer1\.blocks\.\d+\.conv3_19\..*",),
    "HVI-CIDNet": (r"HVE_block\d\..*",),
    "GFPGAN": (r"stylegan_decoder\..*",),
    "AdaCode": (r"multiscale_encoder\..*", r"weight_predictor\..*"),
    "FeMaSR": (r"multiscale_encoder\..*", r"quantize_group\..*"),
    "CodeFormer": (r"quantize\.embedding\.weight", r"ft_layers\..*"),
    "RestoreFormer or another VQGAN": (r"quantize\.embedding\.weight",),
    "DDColor": (r"(encoder\.arch\.downsample_layers|decoder\.color_decoder)\..*",),
    "AuraSR": (r"mid_attn\.layers\..*",),
    # Discriminators and classifiers
    "the U-Net discriminator of Real-ESRGAN": (r"conv0\.weight", r"conv\d\.weight_orig"),
    "a discriminator of ESRGAN": (r"conv0_0\..*", r"linear\d\..*"),
    "a StyleGAN": (r"(synthesis|mapping|style)\..*", r".*(to_?rgb|fc)\d*\..*"),
    "a VGG classifier or a discriminator": (r"features\.0\.weight", r"features\.[2-9]\d*\.weight"),
    "a ResNet classifier": (r"layer1\.0\.conv1\.weight", r"fc\.weight"),
    "a vision transformer": (r"(encoder\.)?(pos_embed|cls_token|.*patch_embed\.proj\.weight)",),
    # Others
    "a diffusion model": (r"(model\.diffusion_model\.)?(input|down)_blocks\.\d+\..*",),
    "a low-rank adapter (LoRA)": (r".*lora_(up|down|A|B)\..*",),
    "a U-Net of another project": (r"(inc|down1|up1|outc)\..*|.*(encoder|down|contract)\w*\d\..*double_?conv.*",),
    "the state of an optimizer": (r".*(exp_avg|momentum_buffer).*",),
}
"""Architecture -> patterns, each of which must fully match at least one parameter name."""


def name_other_architecture(names: Iterable[str]) -> str | None:
    """Return the unsupported architecture that parameter names look like; None if unknown."""
    known = list(names)
    for architecture, patterns in TELLTALES.items():
        if all(any(re.fullmatch(pattern, name) for name in known) for pattern in patterns):
            return architecture
    return None


def refuse_other_architecture(names: Iterable[str]) -> None:
    """Raise RunError if parameter names look like an architecture that cannot be imported."""
    if other := name_other_architecture(names):
        raise RunError(f"looks like {other}, which is not supported; {KNOWN}")
