//! `trace_minmax`: calibration data → ranges → exact formats.
