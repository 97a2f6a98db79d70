package wheel

import (
	"math"
	"testing"
)

// tape turns bytes into numbers; past its end everything is 0.
type tape []byte

func (t *tape) byte() byte {
	if len(*t) == 0 {
		return 0
	}
	b := (*t)[0]
	*t = (*t)[1:]
	return b
}

// interval reads a number of 12 bits and a shift, so that short and long ones are
// as likely. It is bounded by a multiple of the range: beyond that, a timer is
// filed again once per range, which would keep a tiny wheel busy forever.
func (t *tape) interval(limit int64) int64 {
	hi, lo := int64(t.byte()), int64(t.byte())
	return (hi&15<<8 | lo) << (hi >> 4 * 3) % limit
}

// FuzzWheel runs the operations that the bytes encode against the model.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 1, 0, 0x50, 1, 3, 0x50, 1})
	f.Add([]byte{1, 1, 3, 2, 0, 1, 0, 0x8f, 255, 0, 2, 0, 0xaf, 1, 4, 4, 3, 0xaf, 255, 4, 4})
	f.Add([]byte{12, 6, 2, 3, 0, 1, 9, 0xc0, 1, 0, 2, 9, 0xb0, 77, 4, 1, 1, 4, 4, 3, 0xf0, 9})
	f.Add([]byte{2, 1, 1, 1, 0, 1, 0, 0x70, 8, 0, 1, 3, 0x70, 9, 2, 0x20, 1, 3, 0x70, 200, 5, 0x90, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := tape(data)
		cfg := Config{Tick: MinTick << (in.byte() >> 4 & 3)}
		cfg.SlotBits = 1 + int(in.byte())%7
		cfg.StepBits = 1 + int(in.byte())%cfg.SlotBits
		cfg.Levels = 1 + int(in.byte())%4
		size := int64(cfg.Tick)
		limit := size << cfg.reachBits() * 10
		now := []int64{0, -1 << 20, 1<<31 - 40, 1<<32 - 40, 1<<40 - 40, -1<<32 - 40}[in.byte()%6]*size + 3
		p := newPair(t, cfg, now)
		for len(in) > 0 && now < math.MaxInt64/4 {
			switch in.byte() % 7 {
			case 0, 1:
				p.schedule(Handle(in.byte()), uint16(in.byte())<<8>>1, now+in.interval(limit))
			case 2:
				p.schedule(Handle(in.byte()), 1, now-in.interval(limit))
			case 3:
				now += in.interval(limit)
				p.advance(now)
			case 4:
				if at, ok := p.w.Next(); ok {
					now = max(now, at)
					p.advance(now)
				}
			case 5:
				p.cancel(Handle(in.byte()))
			case 6:
				p.advance(now - in.interval(limit))
			}
		}
		p.check()
		// Next leads to what is left; if that is too far away, all of it comes out at once.
		for range 100 {
			if at, ok := p.w.Next(); ok {
				p.advance(at)
				p.check()
			}
		}
		p.advance(now + 2*limit)
		p.check()
		if p.w.Len() != 0 {
			t.Fatalf("%d left", p.w.Len())
		}
	})
}
