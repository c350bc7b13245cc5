from pyctl.kmsg import KernelLog


def test_lines_that_came_since_and_match(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("4,1,1,-;device-mapper: table: old remap error\n")
    log = KernelLog(str(path))
    with path.open("a") as file:
        file.write(
            "3,2,2,-;device-mapper: table: 254:0: remap: spare too small (-EINVAL)\n KEY=1\n"
        )
    assert log.lines() == ["device-mapper: table: 254:0: remap: spare too small (-EINVAL)"]
    assert log.lines() == []


def test_other_lines_are_left_out(tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("")
    log = KernelLog(str(path))
    path.write_text("3,2,2,-;EXT4-fs: remap\n")
    assert log.lines() == []


def test_no_right_to_read_means_no_lines(tmp_path):
    assert KernelLog(str(tmp_path / "none")).lines() == []
