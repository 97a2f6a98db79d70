package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
)

type order struct {
	Customer string
	Items    int
}

func TestDecodeInfo(t *testing.T) {
	want := order{Customer: "ada", Items: 3}
	lease := leasetest.New("orders", leasetest.WithInfo(want))

	got, err := api.DecodeInfo[order](lease)
	require.NoError(t, err)
	require.Equal(t, want, got)

	pointer, err := api.DecodeInfo[*order](lease)
	require.NoError(t, err)
	require.Equal(t, &want, pointer)
}

func TestDecodeInfoWithoutInfoIsTheZeroValue(t *testing.T) {
	got, err := api.DecodeInfo[order](leasetest.New("orders"))
	require.NoError(t, err)
	require.Zero(t, got)
}

func TestDecodeInfoFailureIsPermanentAndLeavesNothingHalfDecoded(t *testing.T) {
	lease := leasetest.New("orders", leasetest.WithInfo(json.RawMessage(`{"Customer":"ada","Items":"three"}`)))

	got, err := api.DecodeInfo[order](lease)
	require.True(t, api.IsPermanent(err))
	require.ErrorContains(t, err, `"orders"`)
	var wrongType *json.UnmarshalTypeError
	require.ErrorAs(t, err, &wrongType)
	require.Zero(t, got)
}
