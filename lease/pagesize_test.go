package lease

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestAPageIsHalvedDownToOneAndGrowsAgain(t *testing.T) {
	s := NewPageSize(512)
	assert.Equal(t, 512, s.Size())
	for want := 256; want >= 1; want /= 2 {
		assert.True(t, s.Failed(s.Size()))
		assert.Equal(t, want, s.Size())
	}
	assert.False(t, s.Failed(1), "a single item is to blame itself")
	assert.Equal(t, 1, s.Size())
	for want := 2; want <= 512; want *= 2 {
		s.Succeeded()
		assert.Equal(t, want/2, s.Size(), "one success is luck")
		s.Succeeded()
		assert.Equal(t, want, s.Size())
	}
	s.Succeeded()
	s.Succeeded()
	assert.Equal(t, 512, s.Size(), "no more than is wanted")
}

func TestAShortPageThatFailsHalvesWhatItCarried(t *testing.T) {
	s := NewPageSize(512)
	assert.True(t, s.Failed(3), "512 were allowed, 3 were there")
	assert.Equal(t, 1, s.Size())
}

func TestPageSizeOfNothing(t *testing.T) {
	var s PageSize
	assert.Equal(t, 1, s.Size())
	assert.False(t, s.Failed(0))
	s.Succeeded()
	s.Succeeded()
	assert.Equal(t, 1, s.Size())
	s = NewPageSize(-1)
	assert.Equal(t, 1, s.Size())
}

// Whatever items are bad, each of them is tried alone before it is blamed, and each good one gets through once.
func TestPagesBlameOnlyWhatCannotBeCarried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bad := rapid.SliceOfN(rapid.Bool(), 0, 200).Draw(t, "bad")
		s := NewPageSize(rapid.IntRange(1, 64).Draw(t, "most"))
		calls := 0
		for at := 0; at < len(bad); calls++ {
			n := min(s.Size(), len(bad)-at)
			fails := false
			for _, b := range bad[at : at+n] {
				fails = fails || b
			}
			switch {
			case !fails:
				s.Succeeded()
				at += n
			case !s.Failed(n):
				assert.True(t, bad[at])
				at++
			}
		}
		assert.LessOrEqual(t, calls, 16*len(bad)+1)
	})
}
