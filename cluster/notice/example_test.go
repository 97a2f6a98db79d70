package notice_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
)

// For engine.WithMaintenance: servers have to announce their maintenance, or the process is not ready.
func ExampleConfig() {
	c := notice.Config{Mode: notice.On, Endpoint: notice.EndpointExternalFQDN, MaxWindow: time.Minute}.WithDefaults()
	fmt.Println(c.Validate())
	fmt.Println(c.MaxWindow, c.RelaxedTimeout, c.RelaxedFor)

	err := notice.Config{MaxWindow: time.Second}.WithDefaults().Validate()
	fmt.Println(errors.Is(err, api.ErrInvalidConfig))
	// Output:
	// <nil>
	// 1m0s 10s 20s
	// true
}
