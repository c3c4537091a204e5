package testkit

import "strings"

// slotOf is the hash slot of a key as the Redis Cluster specification defines it: CRC16 (XMODEM) modulo 16384, of the
// text between the first { and the next } if there is any.
func slotOf(key string) uint16 {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return crc % slotCount
}
