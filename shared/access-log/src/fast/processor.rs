//! Classification of many bytes at once. It uses the vector instructions that every x86-64 and every aarch64
//! processor has, wider ones where available, and single bytes elsewhere. Tests verify that all variants give
//! the same result.

/// Number of bytes classified at once: the number of bits of an integer.
pub(super) const BLOCK: usize = 64;

/// One bit for each byte of a block; the lowest bit is the first byte's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// Spaces.
    pub space: u64,
    /// Quotes.
    pub quote: u64,
    /// Control characters (with line feeds), backslashes, and bytes outside ASCII.
    pub special: u64,
    /// Bytes within quotes: from an opening quote to the byte before the closing one.
    pub quoted: u64,
}

/// Sets each bit that has an odd number of bits set up to and including it.
#[inline(always)]
fn odd_so_far(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{digits, equal, masks, masks_avx2};

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{digits, equal, masks};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use portable::{digits, equal, masks};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::{BLOCK, Masks, odd_so_far};
    use std::arch::x86_64::*;

    /// Classifies a block with SSE2.
    #[inline(always)]
    pub fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: every x86-64 processor has SSE2.
        #[expect(unsafe_code)]
        unsafe {
            masks_sse2(block)
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn masks_sse2(block: &[u8; BLOCK]) -> Masks {
        let (parts, _) = block.as_chunks::<16>();
        let bits = |is: &dyn Fn(__m128i) -> __m128i| {
            let bits = |part: usize| u64::from(_mm_movemask_epi8(is(load(&parts[part]))).cast_unsigned());
            bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48
        };
        let is = |part, byte: u8| _mm_cmpeq_epi8(part, _mm_set1_epi8(byte.cast_signed()));
        let quote = bits(&|part| is(part, b'"'));
        Masks {
            space: bits(&|part| is(part, b' ')),
            quote,
            // As signed numbers, control characters and bytes outside ASCII are all below a space.
            special: bits(&|part| _mm_or_si128(is(part, b'\\'), _mm_cmplt_epi8(part, _mm_set1_epi8(0x20)))),
            quoted: odd_so_far(quote),
        }
    }

    /// Classifies a block with AVX2.
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub fn masks_avx2(block: &[u8; BLOCK]) -> Masks {
        let (words, _) = block.as_chunks::<8>();
        let half = |at: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|word| i64::from_le_bytes(words[at + word]));
            _mm256_set_epi64x(d, c, b, a)
        };
        let (low, high) = (half(0), half(4));
        let bits = |is: &dyn Fn(__m256i) -> __m256i| {
            let [low, high] =
                [low, high].map(|part| u64::from(_mm256_movemask_epi8(is(part)).cast_unsigned()));
            low | high << 32
        };
        let is = |part, byte: u8| _mm256_cmpeq_epi8(part, _mm256_set1_epi8(byte.cast_signed()));
        let quote = bits(&|part| is(part, b'"'));
        // A carry-less product with all ones: each bit is the parity of all bits up to it.
        let sums = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(quote.cast_signed()), _mm_set1_epi8(-1));
        Masks {
            space: bits(&|part| is(part, b' ')),
            quote,
            special: bits(&|part| {
                _mm256_or_si256(is(part, b'\\'), _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), part))
            }),
            quoted: _mm_cvtsi128_si64(sums).cast_unsigned(),
        }
    }

    /// Returns the digits among 16 bytes, one bit each; the lowest bit is the first byte's.
    #[inline(always)]
    pub fn digits(bytes: &[u8; 16]) -> u16 {
        // SAFETY: every x86-64 processor has SSE2.
        #[expect(unsafe_code)]
        unsafe {
            digits_sse2(bytes)
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn digits_sse2(bytes: &[u8; 16]) -> u16 {
        let digits = _mm_sub_epi8(load(bytes), _mm_set1_epi8(b'0'.cast_signed()));
        let are_digits = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
        _mm_movemask_epi8(are_digits) as u16
    }

    /// Returns the bytes among 16 that equal `byte`, one bit each.
    #[inline(always)]
    pub fn equal(bytes: &[u8; 16], byte: u8) -> u16 {
        // SAFETY: every x86-64 processor has SSE2.
        #[expect(unsafe_code)]
        unsafe {
            equal_sse2(bytes, byte)
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_sse2(bytes: &[u8; 16], byte: u8) -> u16 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(load(bytes), _mm_set1_epi8(byte.cast_signed()))) as u16
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let (words, _) = bytes.as_chunks::<8>();
        _mm_set_epi64x(i64::from_le_bytes(words[1]), i64::from_le_bytes(words[0]))
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::{BLOCK, Masks, odd_so_far};
    use std::arch::aarch64::*;

    /// Classifies a block with NEON.
    #[inline(always)]
    pub fn masks(block: &[u8; BLOCK]) -> Masks {
        // SAFETY: every aarch64 processor that Rust compiles for has NEON.
        #[expect(unsafe_code)]
        unsafe {
            masks_neon(block)
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn masks_neon(block: &[u8; BLOCK]) -> Masks {
        let (parts, _) = block.as_chunks::<16>();
        let weights = weights();
        let bits = |is: &dyn Fn(uint8x16_t) -> uint8x16_t| {
            let bits = |part: usize| vandq_u8(is(load(&parts[part])), weights);
            // Each pairwise addition halves the bytes, until each byte holds eight bits.
            let sums = vpaddq_u8(vpaddq_u8(bits(0), bits(1)), vpaddq_u8(bits(2), bits(3)));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
        };
        let is = |part, byte: u8| vceqq_u8(part, vdupq_n_u8(byte));
        let quote = bits(&|part| is(part, b'"'));
        Masks {
            space: bits(&|part| is(part, b' ')),
            quote,
            // As signed numbers, control characters and bytes outside ASCII are all below a space.
            special: bits(&|part| {
                vorrq_u8(is(part, b'\\'), vcltq_s8(vreinterpretq_s8_u8(part), vdupq_n_s8(0x20)))
            }),
            quoted: odd_so_far(quote),
        }
    }

    /// Returns the digits among 16 bytes, one bit each; the lowest bit is the first byte's.
    #[inline(always)]
    pub fn digits(bytes: &[u8; 16]) -> u16 {
        // SAFETY: every aarch64 processor that Rust compiles for has NEON.
        #[expect(unsafe_code)]
        unsafe {
            digits_neon(bytes)
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn digits_neon(bytes: &[u8; 16]) -> u16 {
        bits(vcleq_u8(vsubq_u8(load(bytes), vdupq_n_u8(b'0')), vdupq_n_u8(9)))
    }

    /// Returns the bytes among 16 that equal `byte`, one bit each.
    #[inline(always)]
    pub fn equal(bytes: &[u8; 16], byte: u8) -> u16 {
        // SAFETY: every aarch64 processor that Rust compiles for has NEON.
        #[expect(unsafe_code)]
        unsafe {
            equal_neon(bytes, byte)
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn equal_neon(bytes: &[u8; 16], byte: u8) -> u16 {
        bits(vceqq_u8(load(bytes), vdupq_n_u8(byte)))
    }

    /// Returns one bit for each byte, of which all bits or none are set.
    #[inline]
    #[target_feature(enable = "neon")]
    fn bits(bytes: uint8x16_t) -> u16 {
        let bits = vandq_u8(bytes, weights());
        let sums = vpaddq_u8(bits, bits);
        let sums = vpaddq_u8(sums, sums);
        vgetq_lane_u16::<0>(vreinterpretq_u16_u8(vpaddq_u8(sums, sums)))
    }

    /// Returns the bit weight of each of eight bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    fn weights() -> uint8x16_t {
        let weights = vcreate_u8(0x8040_2010_0804_0201);
        vcombine_u8(weights, weights)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn load(bytes: &[u8; 16]) -> uint8x16_t {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| vcreate_u8(u64::from_le_bytes(words[at]));
        vcombine_u8(word(0), word(1))
    }
}

#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable {
    use super::{BLOCK, Masks, odd_so_far};

    /// Classifies a block byte by byte.
    pub fn masks(block: &[u8; BLOCK]) -> Masks {
        let bits = |is: &dyn Fn(u8) -> bool| {
            block.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(is(byte)))
        };
        let quote = bits(&|byte| byte == b'"');
        Masks {
            space: bits(&|byte| byte == b' '),
            quote,
            special: bits(&|byte| byte == b'\\' || byte < 0x20 || !byte.is_ascii()),
            quoted: odd_so_far(quote),
        }
    }

    /// Returns the bytes among 16 that equal `byte`, one bit each.
    pub fn equal(bytes: &[u8; 16], byte: u8) -> u16 {
        bytes.iter().rev().fold(0, |bits, &other| bits << 1 | u16::from(other == byte))
    }

    /// Returns the digits among 16 bytes, one bit each; the lowest bit is the first byte's.
    pub fn digits(bytes: &[u8; 16]) -> u16 {
        bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u16::from(byte.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_so_far_counts_the_bits_up_to_each() {
        let set = 1 | 1 << 7 | 1 << 8 | 1 << 62 | 1 << 63;
        let odd = 0b0111_1111 | (u64::MAX << 8 & !(u64::MAX << 62)) | 1 << 63;
        assert_eq!(odd_so_far(set), odd);
    }

    /// Checks that every variant classifies a block correctly.
    fn check(block: [u8; BLOCK]) {
        let wanted = portable::masks(&block);
        assert_eq!(masks(&block), wanted, "{block:?}");
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq") {
            // SAFETY: this processor has the features.
            #[expect(unsafe_code)]
            let found = unsafe { masks_avx2(&block) };
            assert_eq!(found, wanted, "{block:?}");
        }
        for bytes in block.as_chunks().0 {
            assert_eq!(digits(bytes), portable::digits(bytes), "{bytes:?}");
            for byte in [b' ', b':', bytes[3]] {
                assert_eq!(equal(bytes, byte), portable::equal(bytes, byte), "{bytes:?}");
            }
        }
    }

    #[test]
    fn every_byte_at_every_position_is_classified_correctly() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                for around in [b'a', b'"', b'7'] {
                    let mut block = [around; BLOCK];
                    block[at] = byte;
                    check(block);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_way_sees_the_same(bytes in prop::collection::vec(any::<u8>(), BLOCK)) {
            check(bytes.try_into().unwrap());
        }
    }
}
