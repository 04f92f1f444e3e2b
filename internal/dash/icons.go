package dash

import "html/template"

// icons are the marks, drawn as strokes on a field of 20 by 20.
var icons = map[string]string{
	"check": `<path d="M4.5 10.5l3.5 3.5 7.5-8"/>`, "cross": `<path d="M5.5 5.5l9 9m0-9l-9 9"/>`,
	"alert": `<path d="M10 3.2l7.2 13H2.8zM10 8.2v3.6m0 2.2v.1"/>`, "dot": `<circle cx="10" cy="10" r="3.5"/>`,
	"ring": `<circle cx="10" cy="10" r="5"/>`, "info": `<circle cx="10" cy="10" r="7"/><path d="M10 9v5m0-8v.1"/>`,
	"home":     `<path d="M3 9.5L10 4l7 5.5V16a1 1 0 01-1 1h-3.5v-5h-5v5H4a1 1 0 01-1-1z"/>`,
	"mail":     `<rect x="2.5" y="4.5" width="15" height="11" rx="1.5"/><path d="M3 6l7 5 7-5"/>`,
	"events":   `<path d="M3 10h3l2-5 4 10 2-5h3"/>`,
	"chart":    `<path d="M3 17V3m0 14h14M7 13.5v-4m4 4v-7m4 7v-2.5"/>`,
	"server":   `<rect x="3" y="3.5" width="14" height="5.5" rx="1.2"/><rect x="3" y="11" width="14" height="5.5" rx="1.2"/><path d="M6 6.2v.1M6 13.7v.1"/>`,
	"pool":     `<circle cx="5" cy="10" r="2"/><circle cx="15" cy="5" r="2"/><circle cx="15" cy="15" r="2"/><path d="M7 9.2l6-3.2M7 10.8l6 3.2"/>`,
	"globe":    `<circle cx="10" cy="10" r="7"/><path d="M3 10h14M10 3c2.4 2.2 3.2 4.5 3.2 7s-.8 4.800-3.200 7c-2.400-2.200-3.200-4.500-3.200-7s.8-4.800 3.200-7z"/>`,
	"template": `<path d="M5 2.500h7l3.500 3.500v11a.5.5 0 01-.5.5H5a.5.5 0 01-.5-.5V3a.5.5 0 01.5-.5zM7.500 9.500h5m-5 3h5"/>`,
	"block":    `<circle cx="10" cy="10" r="7"/><path d="M5.200 5.200l9.600 9.600"/>`,
	"hook":     `<path d="M8 5.500a3 3 0 115 2.300L10.500 12M6 9a3.200 3.200 0 101.500 5.800M9.500 14.500h3.500m0 0a2.200 2.200 0 100-.1"/>`,
	"key":      `<circle cx="6.500" cy="13.500" r="3.500"/><path d="M9 11l7.500-7.500M13.500 6.500l2.500 2.500"/>`,
	"people":   `<circle cx="7.500" cy="7" r="3"/><path d="M2.500 16.500c.4-3 2.300-4.500 5-4.500s4.600 1.500 5 4.500M13 4.500a2.800 2.800 0 010 5.200M14.500 12.200c1.800.6 2.800 2.100 3 4.300"/>`,
	"accounts": `<rect x="3" y="3" width="6" height="6" rx="1"/><rect x="11" y="3" width="6" height="6" rx="1"/><rect x="3" y="11" width="6" height="6" rx="1"/><rect x="11" y="11" width="6" height="6" rx="1"/>`,
	"audit":    `<path d="M4.500 4h11M4.500 8h11M4.500 12h7M4.500 16h5"/>`,
	"gear":     `<circle cx="10" cy="10" r="2.800"/><path d="M10 2.500v2.300m0 10.400v2.300m7.500-7.500h-2.300M4.800 10H2.500m12.800-5.300l-1.600 1.600m-7.400 7.400l-1.600 1.600m10.600 0l-1.600-1.600M6.300 6.300L4.700 4.700"/>`,
	"pulse":    `<path d="M10 16.500C4 12.500 2.800 9.500 3.200 7.200 3.800 4 8 3 10 6c2-3 6.200-2 6.800 1.200.4 2.300-.8 5.300-6.800 9.300z"/>`,
	"flag":     `<path d="M5 17.500v-14m0 .5h10l-2.500 3.500L15 11H5"/>`,
	"tool":     `<path d="M12.200 3.300a4.200 4.200 0 00-4.600 5.800l-4.700 4.700a1.500 1.500 0 002.100 2.100l4.700-4.700a4.200 4.200 0 005.600-4.900l-2.700 2.700-2.400-.600-.600-2.400z"/>`,
	"search":   `<circle cx="9" cy="9" r="5.500"/><path d="M13.200 13.200l4 4"/>`,
	"menu":     `<path d="M3 5.500h14M3 10h14M3 14.500h14"/>`,
	"copy":     `<rect x="7" y="7" width="9.500" height="9.500" rx="1.500"/><path d="M4.500 13H4a1 1 0 01-1-1V4.500A1.500 1.500 0 014.500 3H12a1 1 0 011 1v.5"/>`,
	"clock":    `<circle cx="10" cy="10" r="7"/><path d="M10 6v4.200l2.800 1.800"/>`,
	"arrow":    `<path d="M4 10h12m-4.500-4.500L16 10l-4.500 4.500"/>`,
	"pause":    `<path d="M7 4.500v11m6-11v11"/>`,
	"down":     `<path d="M10 3.500v9m-4-3.500l4 4 4-4M4 16.500h12"/>`,
	"out":      `<path d="M8 3.500H4.500a1 1 0 00-1 1v11a1 1 0 001 1H8m5-10l3.500 3.500L13 13.500m3-3.500H8"/>`,
	"eye":      `<path d="M2.500 10S5.200 5 10 5s7.500 5 7.500 5-2.700 5-7.500 5-7.500-5-7.500-5z"/><circle cx="10" cy="10" r="2.200"/>`,
	"link":     `<path d="M8.500 11.500l3-3m-4.200.700L5.500 11a3 3 0 004.300 4.300l1.700-1.700m-3-7.200l1.700-1.700A3 3 0 0114.500 9l-1.800 1.800"/>`,
}

// icon draws a mark; what it means is said in words beside it.
func icon(name string) template.HTML {
	return template.HTML(`<svg class="i" viewBox="0 0 20 20" aria-hidden="true" focusable="false">` + icons[name] + `</svg>`) //nolint:gosec // the table above
}
