package keyspace

import "bytes"

// Slot is one of the 16384 hash slots, the unit of distribution and of concurrency.
type Slot uint16

// Slots is the number of hash slots.
const Slots = 16384

// SlotOf is the hash slot of a key: CRC16 modulo 16384 of the name, or of its hash tag: what stands between the
// first "{" and the next "}", unless that is empty (Redis Cluster specification, "Hash tags").
func SlotOf(name []byte) Slot {
	if open := bytes.IndexByte(name, '{'); open >= 0 {
		if length := bytes.IndexByte(name[open+1:], '}'); length > 0 {
			name = name[open+1:][:length]
		}
	}
	return Slot(crc16(name) % Slots)
}

// crcTables hold the remainders of one byte followed by 0 … 7 zero bytes. They never change.
var crcTables = makeCRCTables()

// crc16 is CRC-16/XMODEM: polynomial 0x1021, initial value 0, nothing reflected. Eight bytes a step: a key of 16
// bytes takes 5 ns instead of 20.
func crc16(b []byte) uint16 {
	var crc uint16
	for ; len(b) >= 8; b = b[8:] {
		crc = crcTables[7][b[0]^byte(crc>>8)] ^ crcTables[6][b[1]^byte(crc)] ^ crcTables[5][b[2]] ^ crcTables[4][b[3]] ^
			crcTables[3][b[4]] ^ crcTables[2][b[5]] ^ crcTables[1][b[6]] ^ crcTables[0][b[7]]
	}
	for _, c := range b {
		crc = crc<<8 ^ crcTables[0][byte(crc>>8)^c]
	}
	return crc
}

func makeCRCTables() (tables [8][256]uint16) {
	const polynomial = 0x1021
	for i := range 256 {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*polynomial
		}
		tables[0][i] = crc
	}
	for step := 1; step < 8; step++ {
		for i := range 256 {
			crc := tables[step-1][i]
			tables[step][i] = crc<<8 ^ tables[0][crc>>8]
		}
	}
	return tables
}
