// Package mmdb writes small files of the MaxMind DB format (version 2.0, as
// MaxMind publishes it) for tests, so that no database of others has to be
// shipped or fetched.
package mmdb

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"os"
	"slices"
	"testing"
)

// Record is what the database says of one network: strings, uint32 and Records.
type Record map[string]any

// Write makes the file. IPv4 networks lie below ::/96, as the format has them.
func Write(t testing.TB, path string, networks map[netip.Prefix]Record) {
	t.Helper()
	b := builder{nodes: [][2]int{{}}}
	for _, p := range slices.SortedFunc(maps.Keys(networks), netip.Prefix.Compare) {
		at := len(b.data)
		b.record(networks[p])
		b.insert(p, at)
	}
	if err := os.WriteFile(path, b.file(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// builder holds the search tree and the data section. A slot of a node is 0 when
// it is empty, the number of a node, or -1-offset of a record.
type builder struct {
	nodes [][2]int
	data  []byte
}

func (b *builder) insert(p netip.Prefix, record int) {
	address, bits := p.Addr().As16(), p.Bits()
	if p.Addr().Is4() {
		clear(address[:12]) // ::a.b.c.d, not ::ffff:a.b.c.d
		bits += 96
	}
	node := 0
	for i := range bits {
		side := int(address[i/8] >> (7 - i%8) & 1)
		slot := &b.nodes[node][side]
		switch {
		case i == bits-1:
			*slot = -1 - record
			return
		case *slot <= 0:
			*slot = len(b.nodes)
			b.nodes = append(b.nodes, [2]int{})
		}
		node = b.nodes[node][side]
	}
}

// The types of the format, in the upper three bits of a control byte.
const (
	typeString = 2
	typeUint16 = 5
	typeUint32 = 6
	typeMap    = 7
)

func (b *builder) record(r Record) {
	b.data = append(b.data, typeMap<<5|byte(len(r)))
	for _, name := range slices.Sorted(maps.Keys(r)) {
		b.text(name)
		switch v := r[name].(type) {
		case string:
			b.text(v)
		case uint16:
			b.data = binary.BigEndian.AppendUint16(append(b.data, typeUint16<<5|2), v)
		case uint32:
			b.data = binary.BigEndian.AppendUint32(append(b.data, typeUint32<<5|4), v)
		case Record:
			b.record(v)
		}
	}
}

// text writes a string of fewer than 29 bytes, whose length fits the control
// byte.
func (b *builder) text(s string) {
	b.data = append(append(b.data, typeString<<5|byte(len(s))), s...)
}

// file puts tree, data and metadata together, with records of 32 bits.
func (b *builder) file() []byte {
	var out []byte
	for _, node := range b.nodes {
		for _, slot := range node {
			v := len(b.nodes) // nothing is known
			switch {
			case slot > 0:
				v = slot
			case slot < 0:
				v = len(b.nodes) + 16 - 1 - slot
			}
			if v > math.MaxInt32 {
				panic("BUG: a test's database has no such size")
			}
			out = binary.BigEndian.AppendUint32(out, uint32(v))
		}
	}
	out = append(append(out, make([]byte, 16)...), b.data...)
	meta := builder{}
	meta.record(Record{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "ip_version": uint16(6),
		"node_count": uint32(len(b.nodes)), "record_size": uint16(32), "database_type": "Test-City", "build_epoch": uint32(1),
	})
	return append(append(out, "\xab\xcd\xefMaxMind.com"...), meta.data...)
}
