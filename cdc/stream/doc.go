// Package stream carries a source's changes through Kafka so that every one
// arrives exactly once and a reader always knows what is missing: Capture writes,
// Consumer reads.
//
// A run of capture has an epoch, which the warehouse grants. It writes a marker
// into every partition, then a begin record into the progress topic, then rows
// (kind data) and, after everything they need is acknowledged, progress records.
// Each message carries the epoch and a gapless sequence of its partition. Readers
// drop lower epochs and repeated sequences; a gap, or a log that is shorter than it
// was, is a LostError, which makes the source replay under a new epoch. Offsets
// are only places to resume. schemas/load has the vocabulary.
//
// A record's value, little endian; a message longer than the broker allows goes
// as chunks of one sequence:
//
//	 0  'M' 'S', u8 version 1, u8 kind
//	 4  u16 chunk, u16 chunks
//	 8  u64 epoch
//	16  u64 sequence
//	24  i64 when it was built, µs since 1970 UTC
//	32  u32 version of the table's schema; 0 except for data
//	36  u32 CRC32C of all other bytes
//	40  payload: data: an internal/arrowipc frame; begin, progress: JSON
//
// docs/formats/kafka-message.md has it in full.
package stream
