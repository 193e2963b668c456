"""What cameras say of themselves over ONVIF and RTSP: asked for within bounds, and read as a stranger's words."""
