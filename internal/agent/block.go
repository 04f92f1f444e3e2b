package agent

// blockSize is how many bytes a block takes: a line of the processor's cache.
const blockSize = 64

// block holds a part of a text.
type block struct {
	next uint32 // number plus one, 0 for none
	text [blockSize - 4]byte
}

// chain is a text in blocks: the links to its first and its last; both 0 for
// an empty one.
type chain struct{ first, last uint32 }

// blocks keeps texts in blocks of one size that are used again: texts that come
// and go for days leave neither garbage nor gaps, and what they take is known
// to the byte.
type blocks struct {
	slabs []*[blockSlab]block
	free  uint32 // the first of the free ones, linked by next
	made  uint32 // ever used
	used  int
}

const blockSlab = 1024 // blocks that are allocated at once

func (bs *blocks) at(link uint32) *block {
	return &bs.slabs[(link-1)/blockSlab][(link-1)%blockSlab]
}

// take gives a block that is the last of its chain.
func (bs *blocks) take() uint32 {
	bs.used++
	if link := bs.free; link != 0 {
		b := bs.at(link)
		bs.free, b.next = b.next, 0
		return link
	}
	if bs.made%blockSlab == 0 {
		bs.slabs = append(bs.slabs, new([blockSlab]block))
	}
	bs.made++
	return bs.made
}

// put keeps texts behind one another.
func (bs *blocks) put(texts ...string) (c chain) {
	var room []byte
	for _, s := range texts {
		for s != "" {
			if len(room) == 0 {
				link := bs.take()
				if c.first == 0 {
					c.first = link
				} else {
					bs.at(c.last).next = link
				}
				c.last, room = link, bs.at(link).text[:]
			}
			n := copy(room, s)
			room, s = room[n:], s[n:]
		}
	}
	return c
}

// get gives a text of n bytes, in memory of its own.
func (bs *blocks) get(c chain, n int) string {
	all := make([]byte, 0, n)
	for link := c.first; link != 0; {
		b := bs.at(link)
		all = append(all, b.text[:min(len(b.text), n-len(all))]...)
		link = b.next
	}
	return string(all)
}

// drop forgets a text of n bytes without touching the blocks in its middle.
func (bs *blocks) drop(c chain, n int) {
	if c.first == 0 {
		return
	}
	bs.at(c.last).next, bs.free = bs.free, c.first
	bs.used -= (n + blockSize - 5) / (blockSize - 4)
}
